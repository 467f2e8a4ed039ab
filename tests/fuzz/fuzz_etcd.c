/* What etcd's members answer: any bytes are an answer, an error, or a reason to ask another member.
 * What is taken of an answer lies within it, and a token can be put into a header. The first byte
 * says whether the status of HTTP was that of success. */
#include "fuzz.h"

#include <string.h>

#include "registry/etcd_answer.h"

static void read_all(struct bytes bytes)
{
    volatile char last = 0;

    for (size_t i = 0; i < bytes.size; i++)
        last = bytes.data[i];
    (void)last;
}

static void check(const struct etcd_answer *answer, bool fine)
{
    require(fine == (answer->verdict == ETCD_FINE));
    require(answer->verdict <= ETCD_REFUSED);
    require(memchr(answer->text, '\0', sizeof(answer->text)) != NULL);
    require(fine || answer->text[0] != '\0' || answer->root != NULL);
    if (!fine)
        return;
    for (size_t i = 0; i < answer->change_count; i++) {
        require(answer->changes[i].key.size > 0);
        read_all(answer->changes[i].key);
        read_all(answer->changes[i].value);
    }
    for (size_t i = 0; i < answer->key_count; i++)
        read_all(answer->keys[i]);
    for (const char *c = answer->token; c != NULL && *c != '\0'; c++)
        require(*c > ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etcd_answer answer;

    if (size == 0)
        return 0;
    /* On the heap, so that a byte read beyond it is seen. */
    char *text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    bool fine = etcd_answer_read(&answer, (struct bytes){text, size - 1}, data[0] & 1 ? 200 : 503);
    /* It is a copy: what it was read from may go. */
    memset(text, 0, size);
    free(text);
    check(&answer, fine);
    etcd_answer_free(&answer);
    return 0;
}
