/* What Python sees of artifact_hash.h: read by cffi, which knows no preprocessor. Kept equal by the compiler. */
typedef struct ah_state { ...; } ah_state;
#define AH_EXPORT_BYTES ...
#define AH_GROUP_BYTES ...
#define AH_OK ...
#define AH_INVALID ...
#define AH_NO_KERNEL ...

int ah_select(const char *name);
const char *ah_active(void);
const char *ah_kernel_name(size_t index);
uint64_t ah_kernel_hits(size_t index);

void ah_init(ah_state *state);
size_t ah_update(ah_state *state, const uint8_t *in, size_t length, uint8_t *groups);
void ah_digests(const ah_state *state, uint8_t blake3[32], uint8_t sha256[32]);
size_t ah_last_group(const ah_state *state, uint8_t group[32]);
void ah_dual_digest(const uint8_t *in, size_t length, uint8_t blake3[32], uint8_t sha256[32]);
uint64_t ah_length(const ah_state *state);
void ah_export(const ah_state *state, uint8_t *out);
int ah_import(ah_state *state, const uint8_t *in, size_t length);
