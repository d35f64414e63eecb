/* The short way from Python to the kernel: what a hasher does for every buffer, as a type of CPython's own.
 *
 * Of what a buffer of 64 bytes takes, the two digests are a tenth; a call through cffi, the objects around it and
 * Python's own calls were the rest. So these calls are written out here, and with them all that is done to a hasher's
 * state: an exception that a signal raises between two calls of Python's cannot leave it half way. This is a second
 * module in the library of cffi's: one kernel, one dispatch table.
 *
 *     dual_digest(buffer)                 both digests of one buffer
 *     update_pair(a, buffer, b, buffer)   two hashers at once
 *     Hasher                              update, length
 *     Dual(Hasher)                        digests(), export_state(), _import_state(exported)
 *     Single(Hasher)                      digest(), algorithm: hashing/__init__.py makes its classes of them
 *     bind(result, busy)                  the classes of what is returned and raised; before all others
 *
 * Threads: a call gives the GIL away from GIL_BYTES on, since below that it costs more than it gains: another thread
 * takes it, and keeps it for longer than the call lasts (ADR-0042). Then `busy` keeps other threads out of this
 * hasher's state; it is only looked at and set under the GIL.
 *
 * Only the limited API of 3.12 is used, as in the rest of the library.
 */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030c0000
#endif
#include <Python.h>

#include "artifact_hash.h"
#include <string.h>

enum {
    GIL_BYTES = 16384,
    /* A hasher's first buffer, if it is no longer than this and cannot change, waits for the next call: most often that
     * asks for the digests, and the two are one pass without a state. */
    WAITING_BYTES = 65536,
};

typedef struct hasher {
    PyObject_HEAD
    ah_state *state; /* NULL until more than `first` was taken */
    PyObject *first; /* NULL, or the bytes that wait; NULL when there is a state */
    uint32_t which;
    int busy; /* a call is in the state, maybe without the GIL */
} hasher;

static PyObject *result_type, *busy_error; /* bind's */
static PyTypeObject *hasher_type;          /* the module's own */
static allocfunc result_alloc;
static newfunc result_new; /* NULL: not wanted */

static hasher *as_hasher(PyObject *object) { return (hasher *)(void *)object; }

#define UNLOCKED(length, call)                                                                                         \
    do {                                                                                                               \
        if ((length) >= GIL_BYTES) {                                                                                   \
            Py_BEGIN_ALLOW_THREADS call;                                                                               \
            Py_END_ALLOW_THREADS                                                                                       \
        } else {                                                                                                       \
            call;                                                                                                      \
        }                                                                                                              \
    } while (0)

/* ---- Buffers: bytes as they are, anything else that is contiguous through its protocol. */

typedef struct input {
    const uint8_t *bytes;
    size_t length;
    Py_buffer view; /* view.obj is NULL for bytes: the caller's reference keeps those */
} input;

static int open_input(PyObject *buffer, input *in) {
    in->view.obj = NULL;
    if (PyBytes_CheckExact(buffer)) {
        in->bytes = (const uint8_t *)PyBytes_AsString(buffer);
        in->length = (size_t)PyBytes_Size(buffer);
        return 0;
    }
    if (PyObject_GetBuffer(buffer, &in->view, PyBUF_SIMPLE) < 0) return -1;
    in->bytes = in->view.buf;
    in->length = (size_t)in->view.len;
    return 0;
}

static void close_input(input *in) {
    if (in->view.obj != NULL) PyBuffer_Release(&in->view);
}

/* ---- Digests as Python's objects. */

static PyObject *digest_bytes(const uint8_t *digest) {
    return PyBytes_FromStringAndSize((const char *)digest, AH_DIGEST_BYTES);
}

/* A tuple of the named kind, of BLAKE3's digest and SHA-256's. Its constructor in Python takes as long as both. */
static PyObject *result(const uint8_t both[2 * AH_DIGEST_BYTES]) {
    PyObject *tuple;
    if (result_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the module is not bound yet");
        return NULL;
    }
    if (result_new != NULL) {
        PyObject *pair = PyTuple_New(2), *arguments = NULL;
        for (Py_ssize_t i = 0; pair != NULL && i < 2; i++) {
            PyObject *digest = digest_bytes(both + i * AH_DIGEST_BYTES);
            if (digest == NULL || PyTuple_SetItem(pair, i, digest) < 0) Py_CLEAR(pair);
        }
        if (pair != NULL) arguments = PyTuple_Pack(1, pair);
        tuple = arguments == NULL ? NULL : result_new((PyTypeObject *)result_type, arguments, NULL);
        Py_XDECREF(arguments);
        Py_XDECREF(pair);
        return tuple;
    }
    tuple = result_alloc((PyTypeObject *)result_type, 2);
    if (tuple == NULL) return NULL;
    for (Py_ssize_t i = 0; i < 2; i++) {
        PyObject *digest = digest_bytes(both + i * AH_DIGEST_BYTES);
        if (digest == NULL || PyTuple_SetItem(tuple, i, digest) < 0) {
            Py_DECREF(tuple);
            return NULL;
        }
    }
    return tuple;
}

PyDoc_STRVAR(dual_digest_doc,
             "dual_digest(buffer)\n--\n\n"
             "Both digests of one contiguous buffer, in one pass. BufferError for one that is not contiguous.");

static PyObject *dual_digest(PyObject *module, PyObject *buffer) {
    uint8_t both[2 * AH_DIGEST_BYTES];
    input in;
    (void)module;
    if (open_input(buffer, &in) < 0) return NULL;
    UNLOCKED(in.length, ah_digest(AH_BOTH, in.bytes, in.length, both));
    close_input(&in);
    return result(both);
}

/* ---- Hashers. */

static PyObject *new_hasher(PyTypeObject *type, uint32_t which) {
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *object = alloc(type, 0); /* zeroed */
    if (object != NULL) as_hasher(object)->which = which;
    return object;
}

static PyObject *new_dual(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    if (PyTuple_Size(arguments) > 0 || (named != NULL && PyDict_Size(named) > 0)) {
        PyErr_SetString(PyExc_TypeError, "a hasher of both digests takes no arguments");
        return NULL;
    }
    return new_hasher(type, AH_BOTH);
}

static const char *const algorithms[] = {NULL, "blake3", "sha256"}; /* by AH_... */

static PyObject *new_single(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"algorithm", NULL};
    const char *wanted;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "s:SingleHasher", names, &wanted)) return NULL;
    for (uint32_t which = AH_BLAKE3; which <= AH_SHA256; which++)
        if (strcmp(wanted, algorithms[which]) == 0) return new_hasher(type, which);
    PyErr_Format(PyExc_ValueError, "blake3 or sha256, not %s", wanted);
    return NULL;
}

static void free_hasher(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(as_hasher(object)->first);
    PyMem_Free(as_hasher(object)->state);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* Whether another thread is in the state: then with an exception. */
static int is_busy(const hasher *self) {
    if (self->busy) PyErr_SetString(busy_error, "this hasher is in use by another thread");
    return self->busy;
}

/* Keep other threads out; the state then has taken all that was given. -1 with an exception; else `leave` comes next. */
static int enter(hasher *self) {
    if (is_busy(self)) return -1;
    if (self->state == NULL) {
        ah_state *state = PyMem_Malloc(sizeof *state);
        if (state == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        ah_init(state, self->which);
        self->busy = 1;
        if (self->first != NULL) {
            input in;
            open_input(self->first, &in); /* it is bytes */
            UNLOCKED(in.length, ah_update(state, in.bytes, in.length, NULL));
            Py_CLEAR(self->first);
        }
        self->state = state;
    }
    self->busy = 1;
    return 0;
}

static void leave(hasher *self) { self->busy = 0; }

PyDoc_STRVAR(update_doc,
             "update($self, buffer, /)\n--\n\n"
             "Take the next bytes: any contiguous buffer of any length. BufferError for one that is not contiguous.");

static PyObject *update(PyObject *object, PyObject *buffer) {
    hasher *self = as_hasher(object);
    input in;
    if (open_input(buffer, &in) < 0) return NULL;
    if (self->state == NULL && self->first == NULL && !self->busy && in.view.obj == NULL &&
        in.length <= WAITING_BYTES) {
        self->first = Py_NewRef(buffer);
        Py_RETURN_NONE;
    }
    int entered = enter(self);
    if (entered == 0) {
        UNLOCKED(in.length, ah_update(self->state, in.bytes, in.length, NULL));
        leave(self);
    }
    close_input(&in);
    if (entered < 0) return NULL;
    Py_RETURN_NONE;
}

/* The digests that this hasher is for, BLAKE3's and then SHA-256's. */
static int digests_into(hasher *self, uint8_t both[2 * AH_DIGEST_BYTES]) {
    if (self->first != NULL) {
        input in;
        PyObject *first = Py_NewRef(self->first); /* another thread's update may let it go */
        open_input(first, &in);
        UNLOCKED(in.length, ah_digest(self->which, in.bytes, in.length, both));
        Py_DECREF(first);
        return 0;
    }
    if (enter(self) < 0) return -1;
    ah_digests(self->state, both, both + AH_DIGEST_BYTES); /* at most a chunk and a tree's edge: the GIL stays */
    leave(self);
    return 0;
}

/* A class may inherit both kinds of hasher; an object is of one. */
static int wrong_kind(PyObject *object, int of_both) {
    if ((as_hasher(object)->which == AH_BOTH) == of_both) return 0;
    PyErr_SetString(PyExc_TypeError, of_both ? "this hasher is for one digest" : "this hasher is for both digests");
    return 1;
}

PyDoc_STRVAR(digests_doc, "digests($self, /)\n--\n\n"
                          "Both digests of what was taken so far; the hasher goes on being usable.");

static PyObject *digests(PyObject *object, PyObject *unused) {
    uint8_t both[2 * AH_DIGEST_BYTES];
    (void)unused;
    if (wrong_kind(object, 1)) return NULL;
    return digests_into(as_hasher(object), both) < 0 ? NULL : result(both);
}

PyDoc_STRVAR(digest_doc, "digest($self, /)\n--\n\n"
                         "The digest of what was taken so far, 32 bytes; the hasher goes on being usable.");

static PyObject *digest(PyObject *object, PyObject *unused) {
    uint8_t both[2 * AH_DIGEST_BYTES];
    (void)unused;
    if (wrong_kind(object, 0)) return NULL;
    if (digests_into(as_hasher(object), both) < 0) return NULL;
    return digest_bytes(both + (as_hasher(object)->which == AH_SHA256 ? AH_DIGEST_BYTES : 0));
}

static PyObject *get_length(PyObject *object, void *unused) {
    hasher *self = as_hasher(object);
    (void)unused;
    if (is_busy(self)) return NULL;
    if (self->state != NULL) return PyLong_FromUnsignedLongLong(ah_length(self->state));
    return PyLong_FromSsize_t(self->first == NULL ? 0 : PyBytes_Size(self->first));
}

static PyObject *get_algorithm(PyObject *object, void *unused) {
    (void)unused;
    if (wrong_kind(object, 0)) return NULL;
    return PyUnicode_FromString(algorithms[as_hasher(object)->which]);
}

PyDoc_STRVAR(export_doc, "export_state($self, /)\n--\n\n"
                         "The state as STATE_BYTES bytes, which any version and any kernel can go on from.");

static PyObject *export_state(PyObject *object, PyObject *unused) {
    uint8_t exported[AH_EXPORT_BYTES];
    (void)unused;
    if (enter(as_hasher(object)) < 0) return NULL;
    ah_export(as_hasher(object)->state, exported);
    leave(as_hasher(object));
    return PyBytes_FromStringAndSize((const char *)exported, sizeof exported);
}

PyDoc_STRVAR(import_doc, "_import_state($self, exported, /)\n--\n\n"
                         "Go on from an exported state instead; False, and nothing changed, if it is none of this kind.");

static PyObject *import_state(PyObject *object, PyObject *exported) {
    hasher *self = as_hasher(object);
    ah_state imported;
    input in;
    if (open_input(exported, &in) < 0) return NULL;
    int right = ah_import(&imported, in.bytes, in.length) == AH_OK && imported.which == self->which;
    close_input(&in);
    if (!right) Py_RETURN_FALSE;
    if (enter(self) < 0) return NULL;
    *self->state = imported;
    leave(self);
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(update_pair_doc,
             "update_pair(first, first_buffer, second, second_buffer)\n--\n\n"
             "`first.update(first_buffer)` and `second.update(second_buffer)`, for more throughput where the CPU allows it."
             "\n\nThe hashers are two, of one kind; the buffers may differ in length. ValueError for one hasher given "
             "twice.");

static int enter_pair(hasher *first, hasher *second) {
    if (enter(first) < 0) return -1;
    if (enter(second) == 0) return 0;
    leave(first);
    return -1;
}

static PyObject *update_pair(PyObject *module, PyObject *arguments) {
    PyObject *first, *first_buffer, *second, *second_buffer;
    input one, other;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!OO!O:update_pair", hasher_type, &first, &first_buffer, hasher_type, &second,
                          &second_buffer))
        return NULL;
    if (first == second) {
        PyErr_SetString(PyExc_ValueError, "a pair is two hashers");
        return NULL;
    }
    if (open_input(first_buffer, &one) < 0) return NULL;
    if (open_input(second_buffer, &other) < 0) {
        close_input(&one);
        return NULL;
    }
    int entered = enter_pair(as_hasher(first), as_hasher(second));
    if (entered == 0) {
        UNLOCKED(one.length + other.length, ah_update_pair(as_hasher(first)->state, one.bytes, one.length,
                                                           as_hasher(second)->state, other.bytes, other.length));
        leave(as_hasher(second));
        leave(as_hasher(first));
    }
    close_input(&other);
    close_input(&one);
    if (entered < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef hasher_methods[] = {{"update", update, METH_O, update_doc}, {NULL, NULL, 0, NULL}};
static PyGetSetDef hasher_properties[] = {{"length", get_length, NULL, "How many bytes were taken so far.", NULL},
                                          {NULL, NULL, NULL, NULL, NULL}};
static PyMethodDef dual_methods[] = {{"digests", digests, METH_NOARGS, digests_doc},
                                     {"export_state", export_state, METH_NOARGS, export_doc},
                                     {"_import_state", import_state, METH_O, import_doc},
                                     {NULL, NULL, 0, NULL}};
static PyMethodDef single_methods[] = {{"digest", digest, METH_NOARGS, digest_doc}, {NULL, NULL, 0, NULL}};
static PyGetSetDef single_properties[] = {{"algorithm", get_algorithm, NULL, "blake3 or sha256.", NULL},
                                          {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot hasher_slots[] = {{Py_tp_methods, hasher_methods},
                                     {Py_tp_getset, hasher_properties},
                                     {Py_tp_dealloc, free_hasher},
                                     {0, NULL}};
static PyType_Slot dual_slots[] = {{Py_tp_methods, dual_methods}, {Py_tp_new, new_dual}, {0, NULL}};
static PyType_Slot single_slots[] = {{Py_tp_methods, single_methods},
                                     {Py_tp_getset, single_properties},
                                     {Py_tp_new, new_single},
                                     {0, NULL}};

#define SPEC(type, flags, slots)                                                                                       \
    { "artifactstore.hashing._face." type, sizeof(hasher), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | (flags), slots }
static PyType_Spec hasher_spec = SPEC("Hasher", Py_TPFLAGS_DISALLOW_INSTANTIATION, hasher_slots);
static PyType_Spec dual_spec = SPEC("Dual", 0, dual_slots);
static PyType_Spec single_spec = SPEC("Single", 0, single_slots);

/* ---- The module. */

static PyObject *bind(PyObject *module, PyObject *arguments) {
    PyObject *type, *error;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OO:bind", &type, &error)) return NULL;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type) || !PyExceptionClass_Check(error)) {
        PyErr_SetString(PyExc_TypeError, "a class of tuples and one of exceptions");
        return NULL;
    }
    result_type = Py_NewRef(type); /* for good */
    busy_error = Py_NewRef(error);
    result_alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    /* From CPython 3.14 on a tuple remembers its hash, and memory of zeros would be a hash of 0: there tuple makes it. */
    result_new = Py_Version >= 0x030E0000 ? (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new) : NULL;
    Py_RETURN_NONE;
}

static PyObject *add_type(PyObject *module, PyType_Spec *spec, PyObject *base) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, base);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) Py_CLEAR(type);
    return type;
}

static int execute(PyObject *module) {
    PyObject *base = add_type(module, &hasher_spec, NULL);
    PyObject *dual = base == NULL ? NULL : add_type(module, &dual_spec, base);
    PyObject *single = dual == NULL ? NULL : add_type(module, &single_spec, base);
    int failed = single == NULL;
    if (!failed) hasher_type = (PyTypeObject *)Py_NewRef(base); /* for good */
    Py_XDECREF(base);
    Py_XDECREF(dual);
    Py_XDECREF(single);
    return failed ? -1 : 0;
}

static PyMethodDef functions[] = {{"dual_digest", dual_digest, METH_O, dual_digest_doc},
                                  {"update_pair", update_pair, METH_VARARGS, update_pair_doc},
                                  {"bind", bind, METH_VARARGS, "The classes of what is returned and raised."},
                                  {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute},
                                          {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
                                          {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_face", NULL, 0, functions, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__face(void) { return PyModuleDef_Init(&definition); }
