/* deflate: a module around a library that computes. Bytes come and go as base64, which the tables
 * read and the writer writes; zlib runs in a thread of the pool, so that no other client waits.
 *
 *     load_module modules/deflate.so { largest 16m; }
 *     server {
 *         ...
 *         method deflate;     # {"data": "aGVsbG8=", "level": 9} -> {"data": "eNr…", "size": 13}
 *         method inflate;     # {"data": "eNr…"} -> {"data": "aGVsbG8=", "size": 5}
 *     }
 *
 *     cc -shared -fPIC $(pkg-config --cflags --libs pillion zlib) -o deflate.so deflate.c */
#include <pillion/module.h>
#include <zlib.h>

#define LARGEST_DATA (8 << 20) /* that a method takes */

struct config {
    uint64_t largest;
};

static const pillion_directive directives[] = {
    {.name = "largest",
     .type = PILLION_SIZE,
     .offset = offsetof(struct config, largest),
     .fallback = "16m",
     .min = 1,
     .max = 1 << 30,
     .summary = "The largest result of inflate: a few bytes may stand for gigabytes."},
    {0},
};

/* What zlib calls windowBits: 15, and how the data is wrapped. */
static const char *const formats[] = {"zlib", "gzip", "raw", NULL};
static const int window_bits[] = {15, 15 + 16, -15};

/* ---- Work: in a thread ---- */

struct job {
    pillion_instance *self;
    const void *params; /* the request's, which may be read in a thread */
    z_stream stream;
    int code;
    unsigned char *made; /* the result, `stream.total_out` bytes of it */
};

/* Runs a stream from its beginning to its end, and gives up when nobody waits for it any more. */
static void job_run(struct job *job, int (*step)(z_stream *stream, int flush), pillion_bytes data,
                    size_t room)
{
    z_stream *stream = &job->stream;
    size_t piece = 1 << 16, size = 0;

    stream->next_in = (unsigned char *)data.data;
    stream->avail_in = (unsigned)data.size;
    while (job->code == Z_OK && size < room && !pillion_work_cancelled()) {
        size_t more = room - size < piece ? room - size : piece;
        unsigned char *made = pillion_realloc(job->self, job->made, size + more);
        if (made == NULL) {
            job->code = Z_MEM_ERROR;
            return;
        }
        job->made = made;
        stream->next_out = made + size;
        stream->avail_out = (unsigned)more;
        job->code = step(stream, Z_FINISH);
        if (job->code == Z_BUF_ERROR && stream->avail_out == 0)
            job->code = Z_OK; /* there is more to come */
        size += more - stream->avail_out;
        piece *= 2;
    }
}

static void job_free(void *data)
{
    struct job *job = data;
    pillion_free(job->self, job->made);
}

static void job_begin(pillion_request *req, void (*work)(void *data),
                      void (*done)(pillion_request *req, void *data))
{
    struct job *job = pillion_alloc(req, sizeof(*job));

    if (job == NULL || !pillion_on_end(req, job_free, job)) {
        pillion_fail(req, PILLION_OVERLOADED, "no memory to compress");
        return;
    }
    *job = (struct job){.self = pillion_self(req), .params = pillion_args(req)};
    pillion_offload(req, 0, work, done, job);
}

/* What both methods reply with. */
struct result {
    pillion_bytes data;
    int64_t size;
};

static const pillion_param result_rows[] = {
    PILLION_PARAM(struct result, data, PILLION_BYTES, .required = true),
    PILLION_PARAM(struct result, size, PILLION_INTEGER, .summary = "In bytes, before base64."),
    {0},
};

static void job_reply(pillion_request *req, const struct job *job)
{
    const char *made = job->made == NULL ? "" : (const char *)job->made;
    const struct result result = {{made, job->stream.total_out}, (int64_t)job->stream.total_out};

    pillion_reply_struct(req, "data", &result);
}

/* ---- deflate: three typed params ---- */

struct deflate {
    pillion_bytes data;
    int64_t level;
    int format;
};

static const pillion_param deflate_params[] = {
    PILLION_PARAM(struct deflate, data, PILLION_BYTES, .max = LARGEST_DATA, .required = true),
    PILLION_PARAM(struct deflate, level, PILLION_INTEGER, .fallback = "6", .min = 0, .max = 9),
    PILLION_PARAM(struct deflate, format, PILLION_ENUM, .fallback = "\"zlib\"", .words = formats),
    {0},
};

static void deflate_work(void *data)
{
    struct job *job = data;
    const struct deflate *params = job->params;

    job->code = deflateInit2(&job->stream, (int)params->level, Z_DEFLATED,
                             window_bits[params->format], 8, Z_DEFAULT_STRATEGY);
    job_run(job, deflate, params->data, deflateBound(&job->stream, params->data.size));
    deflateEnd(&job->stream);
}

static void deflate_done(pillion_request *req, void *data)
{
    struct job *job = data;

    if (req == NULL) /* nobody waits for it any more */
        return;
    if (job->code != Z_STREAM_END)
        pillion_fail(req, PILLION_OVERLOADED, "no memory to compress");
    else
        job_reply(req, job);
}

static void deflate_begin(pillion_request *req)
{
    job_begin(req, deflate_work, deflate_done);
}

/* ---- inflate ---- */

struct inflate {
    pillion_bytes data;
    int format;
};

static const pillion_param inflate_params[] = {
    PILLION_PARAM(struct inflate, data, PILLION_BYTES, .max = LARGEST_DATA, .required = true),
    PILLION_PARAM(struct inflate, format, PILLION_ENUM, .fallback = "\"zlib\"", .words = formats),
    {0},
};

static void inflate_work(void *data)
{
    struct job *job = data;
    const struct inflate *params = job->params;
    const struct config *config = pillion_config(job->self);

    job->code = inflateInit2(&job->stream, window_bits[params->format]);
    job_run(job, inflate, params->data, config->largest + 1);
    inflateEnd(&job->stream);
}

static void inflate_done(pillion_request *req, void *data)
{
    struct job *job = data;
    const struct config *config = pillion_config(job->self);

    if (req == NULL)
        return;
    if (job->code == Z_MEM_ERROR)
        pillion_fail(req, PILLION_OVERLOADED, "no memory to decompress");
    else if (job->stream.total_out > config->largest)
        pillion_fail(req, "too_large", "the result is larger than `largest` allows");
    else if (job->code != Z_STREAM_END)
        pillion_fail(req, PILLION_INVALID_PARAMS, "params.data: %s",
                     job->code == Z_BUF_ERROR ? "it ends too early" : "it is not of this format");
    else
        job_reply(req, job);
}

static void inflate_begin(pillion_request *req)
{
    job_begin(req, inflate_work, inflate_done);
}

static const pillion_method methods[] = {
    {.name = "deflate",
     .handler = deflate_begin,
     .summary = "Compresses bytes.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct deflate, deflate_params),
     PILLION_GIVES(struct result, result_rows)},
    {.name = "inflate",
     .handler = inflate_begin,
     .summary = "Decompresses bytes.",
     .read_only = true,
     .idempotent = true,
     PILLION_PARAMS(struct inflate, inflate_params),
     PILLION_GIVES(struct result, result_rows)},
    {0},
};

PILLION_MODULE(.name = "deflate", .version = "1.0.0", .summary = "Compresses, by zlib.",
               .methods = methods, .directives = directives, .config_size = sizeof(struct config));
