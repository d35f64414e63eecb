"""Of how objects are published, mended, verified and deleted."""

from __future__ import annotations

from tests.crash.mutations.mutation import Mutation

_LOCALFS = "storage/backends/localfs.py"
_PUBLISHER = "native/publisher/publisher.c"
_PUTS = "--only put_new --run promises=1"
_FAILED_PUTS = "--only put_new --calls sync --run failed=1"
_HEALS = "--only heal --run promises=1"

OBJECTS = (
    Mutation(
        "a new object's directory is not synced",
        _LOCALFS,
        "        try:\n            sync_directory(path.parent)\n        except OSError:\n            path.unlink",
        "        try:\n            pass\n        except OSError:\n            path.unlink",
        _PUTS,
    ),
    Mutation(
        "a mended object's directory is not synced",
        _LOCALFS,
        "            raise\n        sync_directory(path.parent)\n\n    def _open",
        "            raise\n\n    def _open",
        _HEALS,
    ),
    Mutation(
        "a deleted object's directory is not synced",
        _LOCALFS,
        "        sync_directory(path.parent)  # also when",
        "        pass  # also when",
        "--only delete --run promises=1",
    ),
    Mutation(
        "a small body is not synced",
        _PUBLISHER,
        "    if (error == 0 && fdatasync(j->outcome.file) != 0)\n        error = errno;\n",
        "",
        _PUTS,
    ),
    Mutation(
        "a small body whose sync failed is published",
        _PUBLISHER,
        "    if (error == 0 && fdatasync(j->outcome.file) != 0)\n        error = errno;\n",
        "    if (error == 0)\n        (void)fdatasync(j->outcome.file);\n",
        _FAILED_PUTS,
    ),
    Mutation(
        "a small object's directory is not synced",
        _PUBLISHER,
        "fsync(directory) != 0",
        "0",
        _PUTS,
    ),
    Mutation(
        "a small object's name that could not be made durable stays",
        _PUBLISHER,
        "        unlinkat(directory, j->name, 0);\n",
        "",
        _FAILED_PUTS,
        "the store replaces what no event vouches for; only a data plane without a registry would trust it "
        "(tests/conformance)",
    ),
    Mutation(
        "a staged body is not synced",
        "dataplane/staging.py",
        "        os.fdatasync(self._descriptor)\n",
        "",
        _PUTS,
    ),
    Mutation(
        "a staged body whose sync failed is synced again",
        "dataplane/staging.py",
        "        os.fdatasync(self._descriptor)\n",
        "        try:\n            os.fdatasync(self._descriptor)\n        except OSError:\n"
        "            os.fdatasync(self._descriptor)\n",
        "--only put_new --calls sync --run failed=1",
    ),
    Mutation(
        "a copy that a verification finds sound is not synced",
        "dataplane/inproc.py",
        "            await self._backend.sync(address)\n",
        "            pass\n",
        "--only heal --calls sync --run failed=1",
    ),
    Mutation(
        "a copy is verified by its size",
        "dataplane/inproc.py",
        "        digests = hasher.digests()\n",
        "        return VerifyResult(True, None, address, address, offset)\n        digests = hasher.digests()\n",
        "--run rot=4",
    ),
    Mutation(
        "the event comes before the bytes",
        "lifecycle.py",
        "            return _verdict(await self._looked_at(identity, actor))\n\n"
        "        try:\n            result = await self._dataplane.ingest_stream(stream, hints, gate=gate)\n"
        "            try:\n                return await record(result)\n",
        "            verdict = _verdict(await self._looked_at(identity, actor))\n"
        "            from artifactstore.dataplane.spi import IngestResult\n"
        "            from artifactstore.storage.spi import StorageReceipt\n\n"
        '            receipt = StorageReceipt("local", "", identity.size_bytes)\n'
        "            address = verdict.address or identity.digest(hints.primary_algorithm)\n"
        "            gate.early = await record(\n"
        "                IngestResult(address, identity.sha256, identity.size_bytes, receipt, identity.blake3, False)\n"
        "            )\n            return verdict\n\n"
        "        try:\n            result = await self._dataplane.ingest_stream(stream, hints, gate=gate)\n"
        "            try:\n                return gate.early\n",
        "--only put_new --run kills=1",
    ),
    Mutation(
        "the bytes go before the event of their deletion",
        "lifecycle.py",
        "            with self._forgetting(blake3):  # before its bytes go\n",
        "            await self._dataplane.delete_object(blake3)\n            with self._forgetting(blake3):\n",
        "--only delete --calls sync --run kills=1",
    ),
    Mutation(
        "the bytes are said to be gone before they are",
        "lifecycle.py",
        "            await self._dataplane.delete_object(record.address)\n"
        "            await self._registry.purge_object(blake3, actor=actor)\n",
        "            await self._registry.purge_object(blake3, actor=actor)\n"
        "            await self._dataplane.delete_object(record.address)\n",
        "--only delete --calls unlink --run kills=1",
    ),
    Mutation(
        "staging is not swept at a start",
        "dataplane/staging.py",
        "                path.unlink(missing_ok=True)\n        except OSError as error:\n",
        "                pass\n        except OSError as error:\n",
        "--only heal --calls rename --run kills=1",
    ),
    Mutation(
        "a copy is mended in place",
        _LOCALFS,
        "            link_staged(staged, temporary)\n            temporary.rename(path)\n",
        "            path.chmod(0o640)\n            path.write_bytes(os.pread(staged.fd, staged.size_bytes, 0))\n",
        "--only heal --run kills=100",
    ),
    Mutation(
        "a copy that is cut short is trusted",
        "dataplane/inproc.py",
        "if kept is not None and kept.size_bytes == size_bytes:",
        "if kept is not None:",
        _HEALS,
        "the size is looked at before, too (lifecycle._looked_at), which marks the copy and has it replaced",
    ),
    Mutation(
        "a copy that is cut short is not marked",
        "lifecycle.py",
        "        if reason is None:\n            return record\n",
        "        return record\n",
        "--only heal --from 110 --calls sync --run failed=1",
    ),
    Mutation(
        "a put and a deletion do not exclude each other",
        "lifecycle.py",
        "            await hold.acquire()\n            held = hold\n",
        "",
        "--only delete_and_put --calls unlink,sync --from 60 --run kills=1",
    ),
    Mutation(
        "the directory of a copy that a verification finds sound is not synced",
        _LOCALFS,
        "            os.close(descriptor)\n        sync_directory(self._path(address).parent)\n",
        "            os.close(descriptor)\n",
        "--only heal --calls sync --run failed=1",
    ),
    Mutation(
        "an error of the system comes out of a start that sweeps staging",
        "dataplane/staging.py",
        '            raise storage_error(f"what is left in {self._directory} cannot be removed", error) from error\n',
        "            raise\n",
        "--only heal --calls rename --from 40 --run recoveries=1",
    ),
    Mutation(
        "a name whose sync failed is left",
        _LOCALFS,
        "            path.unlink(missing_ok=True)\n            raise\n        return True",
        "            raise\n        return True",
        "--only put_new --calls sync --run failed=1",
        "the store replaces what no event vouches for; only a data plane without a registry would trust it "
        "(tests/conformance)",
    ),
    Mutation(
        "a twin's directory is not synced when it is kept",
        _LOCALFS,
        "                sync_directory(path.parent)\n                return\n",
        "                return\n",
        "--only put_twins --run promises=1",
        "the store never asks to keep; only a data plane without a registry does (tests/conformance)",
    ),
    Mutation(
        "the bytes of a copy that a verification finds sound are not synced",
        _LOCALFS,
        "            os.fdatasync(descriptor)\n",
        "            pass\n",
        "--only heal --calls sync --run failed=1",
        "whatever the store gives a name to is synced before; this one is for files that somebody else has put there",
    ),
)
