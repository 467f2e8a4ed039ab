/* Methods of a worker that runs out of memory for replies, or out of descriptors. */
#include <pillion/module.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the reply is made of: it has its memory before there is none. */
static char *text;
static size_t most = (size_t)900 << 10;

static int start(pillion_instance *self, pillion_error_text *error)
{
    (void)self;
    text = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return pillion_error(error, "no memory");
    memset(text, '1', most);
    return 0;
}

static size_t size_of(pillion_request *req)
{
    double size = cJSON_GetNumberValue(pillion_params(req));
    return size > 0 && size < (double)most ? (size_t)size : most;
}

/* While it answers, the process gets no more memory from the kernel. */
static void answer_in_want(pillion_request *req)
{
    struct rlimit limit;
    pillion_bytes result = {text, size_of(req)};

    getrlimit(RLIMIT_DATA, &limit);
    setrlimit(RLIMIT_DATA, &(struct rlimit){4096, limit.rlim_max});
    pillion_reply_raw(req, "scarce", result);
    setrlimit(RLIMIT_DATA, &limit);
}

static void plenty(pillion_request *req)
{
    pillion_reply_raw(req, "plenty", (pillion_bytes){text, size_of(req)});
}

static void works(void *data)
{
    (void)data;
}

static void worked(pillion_request *req, void *data)
{
    (void)data;
    if (req != NULL)
        answer_in_want(req);
}

static void offloaded(pillion_request *req)
{
    pillion_offload(req, 0, works, worked, NULL);
}

/* params: the soft and the hard limit on open files from now on; -1 leaves the hard one. */
static void files(pillion_request *req)
{
    const cJSON *params = pillion_params(req);
    double soft = cJSON_GetNumberValue(cJSON_GetArrayItem(params, 0)),
           hard = cJSON_GetNumberValue(cJSON_GetArrayItem(params, 1));
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)soft;
    if (hard >= 0)
        limit.rlim_max = (rlim_t)hard;
    pillion_reply(req, "files", cJSON_CreateBool(setrlimit(RLIMIT_NOFILE, &limit) == 0));
}

static const pillion_method methods[] = {
    {.name = "scarce", .handler = answer_in_want},
    {.name = "plenty", .handler = plenty},
    {.name = "offloaded", .handler = offloaded},
    {.name = "files", .handler = files},
    {0},
};

PILLION_MODULE(.name = "scarce", .version = "1.0.0", .methods = methods, .start = start);
