/* What Python sees of publisher.h: read by cffi, which knows no preprocessor. Kept equal by the compiler. */
typedef struct {
    uint64_t ticket;
    int result;
    int error;
    int file;
} publisher_outcome;
typedef struct publisher publisher;
#define PUBLISHER_DIRECTORIES ...
#define PUBLISHER_DONE ...
#define PUBLISHER_FAILED ...
#define PUBLISHER_NOT_LINKED ...

publisher *publisher_open(unsigned threads);
int publisher_event(const publisher *p);
int publisher_submit(publisher *p, uint64_t ticket, const char *staging, int named, const char *directory,
                     const char *name, unsigned lock, const void *bytes, size_t size);
void publisher_begin(publisher *p);
size_t publisher_collect(publisher *p, publisher_outcome *outcomes, size_t most);
void publisher_hold(publisher *p, unsigned lock);
void publisher_release(publisher *p, unsigned lock);
void publisher_drain(publisher *p);
void publisher_close(publisher *p);
