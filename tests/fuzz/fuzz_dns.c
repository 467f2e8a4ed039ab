/* Answers of DNS: any bytes are an answer, none, or damaged. What is found has names that can be
 * asked for again, from within the message's bytes alone, and no more of it than there is room for.
 * The first byte says what was asked; that the question is repeated is c-ares's to check. */
#include "fuzz.h"

#include <string.h>

#include "registry/cares/answer.h"
#include "registry/dns_name.h"

static const struct {
    const char *name;
    enum dns_type type;
} asked[] = {
    {"_pillion._tcp.shop.test", DNS_SRV},
    {"one.shop.test", DNS_A},
    {"two.shop.test", DNS_AAAA},
    {"a", DNS_SRV},
};

static void check_found(enum dns_type type, const struct dns_answer *answer)
{
    const char *why;

    require(type != DNS_SRV || answer->found_count > 0);
    require(type == DNS_SRV || answer->address_count > 0);
    require(answer->found_count <= DNS_SERVERS_MAX && answer->address_count <= DNS_ADDRESSES_MAX);
    require(answer->ttl_s <= INT32_MAX);
    for (size_t i = 0; i < answer->found_count; i++)
        require(answer->found[i].target[0] == '\0' ||
                dns_name_check(answer->found[i].target, &why));
    for (size_t i = 0; i < answer->address_count; i++) {
        const struct dns_address *address = &answer->addresses[i];
        require(address->owner[0] == '\0' || dns_name_check(address->owner, &why));
        require(address->type == DNS_A || address->type == DNS_AAAA);
        require(address->ttl_s <= INT32_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    unsigned which = data[0] % (sizeof(asked) / sizeof(*asked));
    /* On the heap, so that a byte read beyond it is seen. */
    unsigned char *copy = malloc(size - 1);
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    const struct dns_answer *answer =
        answer_read(copy, size - 1, asked[which].name, asked[which].type);
    switch (answer->status) {
    case DNS_FOUND:
        check_found(asked[which].type, answer);
        break;
    case DNS_FAILED:
        require(answer->why[0] != '\0');
        require(answer->found_count == 0 && answer->address_count == 0);
        break;
    case DNS_NONE:
        require(answer->found_count == 0 && answer->address_count == 0);
        break;
    }
    free(copy);
    return 0;
}
