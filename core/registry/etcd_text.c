/* See etcd_text.h. */
#include "registry/etcd_text.h"

#include <inttypes.h>
#include <string.h>

#include "base/json_escape.h"
#include "wire/base64.h"

static void add_base64(struct text *text, const char *name, struct bytes data)
{
    text_printf(text, "\"%s\":\"", name);
    text_reserve(text, BASE64_ENCODED(data.size) + 1);
    base64_encode(data, text->data + text->size);
    text->size += BASE64_ENCODED(data.size);
    text->data[text->size] = '\0';
    text_append_char(text, '"');
}

/* The first key that does not begin with the prefix any more: its last byte that can be raised is,
 * and what follows is left out. Of a prefix without such a byte, "\0" means all (rpc.proto,
 * RangeRequest.range_end). */
static void add_end(struct text *text, const char *prefix)
{
    struct text end = {0};

    text_append_string(&end, prefix);
    while (end.size > 0 && (unsigned char)end.data[end.size - 1] == 0xff)
        end.size--;
    if (end.size == 0)
        text_append_char(&end, '\0');
    else
        end.data[end.size - 1]++;
    add_base64(text, "range_end", (struct bytes){end.data, end.size});
    text_free(&end);
}

/* Of all keys the first is "\0", as an empty one is none. */
static struct bytes first_key(const char *prefix)
{
    return *prefix == '\0' ? (struct bytes){"", 1} : bytes_of(prefix);
}

static void add_number(struct text *text, const char *name, int64_t number)
{
    text_printf(text, "\"%s\":\"%" PRId64 "\"", name, number);
}

char *etcd_text_authenticate(const char *user, const char *password)
{
    struct text text = {0};

    text_append_string(&text, "{\"name\":\"");
    text_append_json(&text, bytes_of(user));
    text_append_string(&text, "\",\"password\":\"");
    text_append_json(&text, bytes_of(password));
    text_append_string(&text, "\"}");
    return text_take(&text);
}

static char *one_number(const char *name, int64_t number, const char *more)
{
    struct text text = {0};

    text_append_char(&text, '{');
    add_number(&text, name, number);
    text_printf(&text, "%s}", more);
    return text_take(&text);
}

char *etcd_text_grant(uint32_t ttl_s)
{
    return one_number("TTL", ttl_s, "");
}

char *etcd_text_lease(int64_t lease)
{
    return one_number("ID", lease, "");
}

char *etcd_text_lease_keys(int64_t lease)
{
    return one_number("ID", lease, ",\"keys\":true");
}

static void add_put(struct text *text, const char *key, struct bytes value, int64_t lease)
{
    text_append_char(text, '{');
    add_base64(text, "key", bytes_of(key));
    text_append_char(text, ',');
    add_base64(text, "value", value);
    text_append_char(text, ',');
    add_number(text, "lease", lease);
    text_append_char(text, '}');
}

char *etcd_text_put(const char *key, struct bytes value, int64_t lease)
{
    struct text text = {0};

    add_put(&text, key, value, lease);
    return text_take(&text);
}

static void add_under_lease(struct text *text, const char *key, int64_t lease)
{
    text_append_char(text, '{');
    add_base64(text, "key", bytes_of(key));
    text_append_string(text, ",\"target\":\"LEASE\",\"result\":\"EQUAL\",");
    add_number(text, "lease", lease);
    text_append_char(text, '}');
}

char *etcd_text_put_unless(const char *key, struct bytes value, int64_t lease)
{
    struct text text = {0};

    text_append_string(&text, "{\"compare\":[");
    add_under_lease(&text, key, lease);
    text_append_string(&text, ",{");
    add_base64(&text, "key", bytes_of(key));
    text_append_string(&text, ",\"target\":\"VALUE\",\"result\":\"EQUAL\",");
    add_base64(&text, "value", value);
    text_append_string(&text, "}],\"failure\":[{\"request_put\":");
    add_put(&text, key, value, lease);
    text_append_string(&text, "}]}");
    return text_take(&text);
}

char *etcd_text_delete(const char *key, int64_t lease)
{
    struct text text = {0};

    text_append_string(&text, "{\"compare\":[");
    add_under_lease(&text, key, lease);
    text_append_string(&text, "],\"success\":[{\"request_delete_range\":{");
    add_base64(&text, "key", bytes_of(key));
    text_append_string(&text, "}}]}");
    return text_take(&text);
}

char *etcd_text_range(const char *prefix, struct bytes from, int64_t revision, uint32_t limit)
{
    struct text text = {0};

    text_append_char(&text, '{');
    add_base64(&text, "key", from.size > 0 ? from : first_key(prefix));
    text_append_char(&text, ',');
    add_end(&text, prefix);
    text_append_char(&text, ',');
    add_number(&text, "revision", revision);
    text_printf(&text, ",\"limit\":\"%" PRIu32 "\"}", limit);
    return text_take(&text);
}

char *etcd_text_count(const char *prefix)
{
    struct text text = {0};

    text_append_char(&text, '{');
    add_base64(&text, "key", first_key(prefix));
    text_append_char(&text, ',');
    add_end(&text, prefix);
    text_append_string(&text, ",\"count_only\":true}");
    return text_take(&text);
}

char *etcd_text_one(struct bytes key)
{
    struct text text = {0};

    text_append_char(&text, '{');
    add_base64(&text, "key", key);
    text_append_string(&text, ",\"keys_only\":true}");
    return text_take(&text);
}

char *etcd_text_watch(const char *prefix, int64_t from_revision)
{
    struct text text = {0};

    text_append_string(&text, "{\"create_request\":{");
    add_base64(&text, "key", first_key(prefix));
    text_append_char(&text, ',');
    add_end(&text, prefix);
    text_append_char(&text, ',');
    add_number(&text, "start_revision", from_revision);
    text_append_string(&text, ",\"fragment\":true,\"progress_notify\":true}}");
    return text_take(&text);
}
