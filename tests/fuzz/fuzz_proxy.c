/* Reading PROXY headers: any bytes are a header, the start of one, or refused; what is whole is the
 * same whatever follows it, and no part of it is; what is refused is never whole with more behind
 * it; and what it tells can be written. */
#include "fuzz.h"

#include <string.h>

#include "net/address.h"
#include "wire/proxy_header.h"

static void check_name(struct bytes input, const struct proxy_header *header, struct bytes name)
{
    if (name.data == NULL)
        return;
    require(name.size > 0 && name.data > input.data &&
            name.data + name.size <= input.data + header->size);
    for (size_t i = 0; i < name.size;) {
        size_t size = utf8_sequence(name.data + i, name.size - i);
        require(size > 0 && (unsigned char)name.data[i] >= 0x20);
        i += size;
    }
}

static void check_whole(struct bytes input, const struct proxy_header *header)
{
    char text[ADDRESS_TEXT_SIZE];
    struct proxy_header again;

    require(header->size > 0 && header->size <= input.size && header->size <= PROXY_HEADER_MAX);
    check_name(input, header, header->alpn);
    check_name(input, header, header->authority);
    check_name(input, header, header->common_name);
    if (header->source_size > 0) {
        address_format((const struct sockaddr *)&header->source, header->source_size, text);
        require(strlen(text) > 0);
    }
    /* On the heap, so that a byte read beyond it is seen. */
    char *copy = malloc(header->size);
    require(copy != NULL);
    memcpy(copy, input.data, header->size);
    require(proxy_header_read((struct bytes){copy, header->size}, &again) == PROXY_WHOLE);
    require(again.size == header->size && again.local == header->local &&
            memcmp(&again.source, &header->source, sizeof(again.source)) == 0);
    for (size_t size = header->size; size-- > 0;) {
        require(proxy_header_read((struct bytes){copy, size}, &again) == PROXY_PARTIAL);
        require(again.size == 0 || again.size == header->size);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes input = {(const char *)data, size};
    struct proxy_header header, part;

    switch (proxy_header_read(input, &header)) {
    case PROXY_WHOLE:
        check_whole(input, &header);
        break;
    case PROXY_PARTIAL:
        require(header.size == 0 || header.size > size);
        break;
    case PROXY_INVALID:
        require(header.why != NULL);
        for (size_t n = 0; n < size && n < 512; n++)
            require(proxy_header_read((struct bytes){input.data, n}, &part) != PROXY_WHOLE);
        break;
    }
    return 0;
}
