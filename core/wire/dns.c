/* Questions and answers of DNS. See dns.h. */
#include "wire/dns.h"

#include <string.h>
#include <strings.h>

enum { HEAD = 12, CLASS_IN = 1, CNAME = 5, SOA = 6, OPT = 41, LABEL_MAX = 63, WIRE_NAME_MAX = 255 };
enum { FLAG_ANSWER = 0x8000, FLAG_AUTHORITY = 0x0400, FLAG_CUT = 0x0200, FLAG_RECURSES = 0x0080 };
enum { NO_ERROR = 0, FORMAT_ERROR = 1, SERVER_FAILURE = 2, NO_NAME = 3, NOT_IMPLEMENTED = 4 };

#define OPCODE_MASK 0x7800
#define ALIASES_MAX 8

/* ---- Numbers and names ---- */

/* What is left of a message. */
struct reader {
    struct bytes message;
    size_t at;
};

static uint16_t number16(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;

    return (uint16_t)(byte[0] << 8 | byte[1]);
}

static bool read16(struct reader *reader, uint16_t *number)
{
    if (reader->message.size - reader->at < 2)
        return false;
    *number = number16(reader->message.data + reader->at);
    reader->at += 2;
    return true;
}

/* TTLs have 31 bits; larger ones are none (RFC 2181 section 8). */
static bool read_ttl(struct reader *reader, uint32_t *ttl)
{
    uint16_t high, low;

    if (!read16(reader, &high) || !read16(reader, &low))
        return false;
    *ttl = high & 0x8000 ? 0 : (uint32_t)high << 16 | low;
    return true;
}

static char *put16(char *to, unsigned number)
{
    *to++ = (char)(number >> 8);
    *to++ = (char)(number & 0xff);
    return to;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool dns_name_check(const char *name, const char **why)
{
    size_t size = strlen(name), label = 0;

    if (size > 0 && name[size - 1] == '.')
        size--;
    *why = size == 0              ? "it is empty"
           : size >= DNS_NAME_MAX ? "it has more than 253 characters"
                                  : NULL;
    for (size_t i = 0; i < size && *why == NULL; i++) {
        label = name[i] == '.' ? 0 : label + 1;
        if (name[i] == '.' && (i == 0 || name[i - 1] == '.' || i + 1 == size))
            *why = "it has an empty part between dots";
        else if (name[i] != '.' && !is_plain(name[i]))
            *why = "it may have letters, digits, \"-\", \"_\" and dots alone";
        else if (label > LABEL_MAX)
            *why = "it has a part of more than 63 characters";
    }
    return *why == NULL;
}

/* Adds a label to `text`, which has `size` characters. What text cannot show makes `plain` false.
 */
static size_t add_label(char text[DNS_NAME_MAX], size_t size, struct bytes label, bool *plain)
{
    if (size > 0)
        text[size++] = '.';
    for (size_t i = 0; i < label.size; i++) {
        *plain = *plain && is_plain(label.data[i]);
        text[size++] = lower(label.data[i]);
    }
    return size;
}

/* Reads the name at the reader's place, in text. False when there is none; `plain` says whether
 * text can show it. */
static bool read_name(struct reader *reader, char text[DNS_NAME_MAX], bool *plain)
{
    const struct bytes in = reader->message;
    size_t at = reader->at, barrier = at, size = 0, wire = 1;
    bool jumped = false;

    *plain = true;
    for (;;) {
        if (at >= in.size)
            return false;
        unsigned length = (unsigned char)in.data[at];
        if ((length & 0xc0) == 0xc0) { /* the rest is further back, before all that was read */
            if (in.size - at < 2)
                return false;
            size_t to = number16(in.data + at) & 0x3fffu;
            if (!jumped)
                reader->at = at + 2;
            jumped = true;
            if (to >= barrier)
                return false;
            at = barrier = to;
            continue;
        }
        if (length > LABEL_MAX || in.size - at - 1 < length || (wire += length + 1) > WIRE_NAME_MAX)
            return false;
        if (length == 0)
            break;
        size = add_label(text, size, (struct bytes){in.data + at + 1, length}, plain);
        at += 1 + length;
    }
    text[size] = '\0';
    if (!jumped)
        reader->at = at + 1;
    return true;
}

/* ---- Questions ---- */

static char *put_name(char *to, const char *name)
{
    while (*name != '\0') {
        size_t size = strcspn(name, ".");
        *to++ = (char)size;
        memcpy(to, name, size);
        to += size;
        name += size + (name[size] == '.');
    }
    *to++ = '\0';
    return to;
}

size_t dns_question_write(const struct dns_question *question, char to[DNS_QUESTION_MAX])
{
    enum { RECURSE = 0x0100 };
    char *at = to;

    at = put16(at, question->id);
    at = put16(at, RECURSE);
    at = put16(at, 1);
    at = put16(at, 0);
    at = put16(at, 0);
    at = put16(at, question->edns);
    at = put_name(at, question->name);
    at = put16(at, question->type);
    at = put16(at, CLASS_IN);
    if (question->edns) { /* the root, OPT, the size, no extended code, no flags, no options */
        *at++ = '\0';
        at = put16(at, OPT);
        at = put16(at, DNS_UDP_MAX);
        memset(at, 0, 6);
        at += 6;
    }
    return (size_t)(at - to);
}

/* ---- Records ---- */

struct record {
    char owner[DNS_NAME_MAX];
    bool plain;
    uint16_t type, class, size;
    uint32_t ttl_s;
    size_t data; /* its place in the message */
};

/* Reads a record, whole. */
static bool read_record(struct reader *reader, struct record *record)
{
    if (!read_name(reader, record->owner, &record->plain) || !read16(reader, &record->type) ||
        !read16(reader, &record->class) || !read_ttl(reader, &record->ttl_s) ||
        !read16(reader, &record->size) || reader->message.size - reader->at < record->size)
        return false;
    record->data = reader->at;
    reader->at += record->size;
    return true;
}

/* The name at `skip` bytes of the record's data, which ends there. False when there is none. */
static bool read_target(struct bytes message, const struct record *record, size_t skip,
                        char text[DNS_NAME_MAX], bool *plain)
{
    struct reader reader = {message, record->data + skip};

    return record->size > skip && read_name(&reader, text, plain) &&
           reader.at == record->data + record->size;
}

/* An answer that is being read. */
struct reading {
    struct bytes message;
    const struct dns_question *question;
    struct dns_answer *answer;
    char name[DNS_NAME_MAX]; /* of the question, behind its aliases */
    uint16_t counts[3];      /* of the answer, the authority, and what is added */
    size_t found;            /* records of what was asked for */
    bool soa;
};

static void least(uint32_t *ttl, uint32_t other)
{
    if (other < *ttl)
        *ttl = other;
}

/* ---- Aliases ---- */

/* Looks for an alias of the name among the answer's records. False when they are damaged. */
static bool next_alias(struct reading *reading, struct reader reader, bool *found)
{
    char target[DNS_NAME_MAX];
    bool plain;

    *found = false;
    for (unsigned i = 0; i < reading->counts[0]; i++) {
        struct record record;
        if (!read_record(&reader, &record))
            return false;
        if (*found || record.type != CNAME || record.class != CLASS_IN || !record.plain ||
            strcmp(record.owner, reading->name) != 0)
            continue;
        if (!read_target(reading->message, &record, 0, target, &plain))
            return false;
        *found = plain;
        if (plain)
            least(&reading->answer->ttl_s, record.ttl_s);
    }
    if (*found)
        strcpy(reading->name, target);
    return true;
}

static bool follow_aliases(struct reading *reading, struct reader reader)
{
    bool found = true;

    for (unsigned i = 0; i < ALIASES_MAX && found; i++) {
        if (!next_alias(reading, reader, &found))
            return false;
    }
    return true;
}

/* ---- What was asked for ---- */

static bool add_server(struct reading *reading, const struct record *record)
{
    struct dns_answer *answer = reading->answer;
    struct reader reader = {reading->message, record->data};
    struct dns_server server;
    bool plain;

    if (!read16(&reader, &server.priority) || !read16(&reader, &server.weight) ||
        !read16(&reader, &server.port) ||
        !read_target(reading->message, record, 6, server.target, &plain))
        return false;
    if (!plain || answer->found_count == DNS_SERVERS_MAX) {
        answer->cut = true;
        return true;
    }
    reading->found++;
    least(&answer->ttl_s, record->ttl_s);
    answer->found[answer->found_count++] = server;
    return true;
}

static bool add_address(struct reading *reading, const struct record *record, const char *owner)
{
    struct dns_answer *answer = reading->answer;
    size_t size = record->type == DNS_A ? 4 : 16;

    if (record->size != size)
        return false;
    if (answer->address_count == DNS_ADDRESSES_MAX) {
        answer->cut = true;
        return true;
    }
    struct dns_address *address = &answer->addresses[answer->address_count++];
    *address = (struct dns_address){.ttl_s = record->ttl_s, .type = record->type};
    strcpy(address->owner, owner);
    memcpy(address->bytes, reading->message.data + record->data, size);
    return true;
}

/* RFC 2308 section 5: how long it holds that there is nothing. */
static bool read_soa(struct reading *reading, const struct record *record)
{
    struct reader reader = {reading->message, record->data};
    char name[DNS_NAME_MAX];
    uint32_t number = 0;
    bool plain;

    if (!read_name(&reader, name, &plain) || !read_name(&reader, name, &plain))
        return false;
    for (unsigned i = 0; i < 5; i++) {
        if (!read_ttl(&reader, &number))
            return false;
    }
    if (reader.at != record->data + record->size)
        return false;
    reading->soa = true;
    least(&number, record->ttl_s);
    least(&reading->answer->ttl_s, number);
    return true;
}

static bool is_address(uint16_t type)
{
    return type == DNS_A || type == DNS_AAAA;
}

/* A record of the answer itself (section 0), of the authority, or of what is added. */
static bool take_record(struct reading *reading, unsigned section, const struct record *record)
{
    uint16_t wanted = reading->question->type;

    if (record->class != CLASS_IN || !record->plain)
        return true;
    if (section == 1)
        return record->type != SOA || read_soa(reading, record);
    if (section == 2)
        return !is_address(record->type) || add_address(reading, record, record->owner);
    if (record->type != wanted || strcmp(record->owner, reading->name) != 0)
        return true;
    if (wanted == DNS_SRV)
        return add_server(reading, record);
    reading->found++;
    least(&reading->answer->ttl_s, record->ttl_s);
    return add_address(reading, record, reading->question->name);
}

static bool take_records(struct reading *reading, struct reader reader)
{
    for (unsigned section = 0; section < 3; section++) {
        for (unsigned i = 0; i < reading->counts[section]; i++) {
            struct record record;
            if (!read_record(&reader, &record) || !take_record(reading, section, &record))
                return false;
        }
    }
    return true;
}

/* ---- The whole ---- */

static enum dns_status failed(struct dns_answer *answer, const char *why)
{
    answer->why = why;
    answer->found_count = answer->address_count = 0;
    return DNS_FAILED;
}

/* True when the message answers this question; the reader is behind it then. A server that has not
 * understood the question need not repeat it. */
static bool is_answer(struct reader *reader, const struct dns_question *question, uint16_t flags,
                      uint16_t questions)
{
    char name[DNS_NAME_MAX];
    uint16_t type, class;
    bool plain;

    if (!(flags & FLAG_ANSWER) || (flags & OPCODE_MASK) != 0)
        return false;
    if (questions == 0)
        return (flags & 15) == FORMAT_ERROR || (flags & 15) == NOT_IMPLEMENTED;
    return questions == 1 && read_name(reader, name, &plain) && read16(reader, &type) &&
           read16(reader, &class) && plain && strcasecmp(name, question->name) == 0 &&
           type == question->type && class == CLASS_IN;
}

/* Nothing was found by an answer without error, or the name is said not to be there. */
static enum dns_status nothing(struct reading *reading, uint16_t flags)
{
    if (!reading->soa)
        reading->answer->ttl_s = 0;
    reading->answer->found_count = reading->answer->address_count = 0;
    if ((flags & (FLAG_AUTHORITY | FLAG_RECURSES)) == 0 && !reading->soa)
        return failed(reading->answer, "it answers for other zones alone, and asks nobody else");
    return DNS_NONE;
}

/* The records behind the question. */
static enum dns_status read_rest(struct reading *reading, struct reader reader, uint16_t flags)
{
    struct dns_answer *answer = reading->answer;
    unsigned code = flags & 15;

    for (const char *c = reading->question->name; *c != '\0'; c++)
        reading->name[c - reading->question->name] = lower(*c);
    if (!follow_aliases(reading, reader) || !take_records(reading, reader))
        return failed(answer, "its answer is damaged");
    if (code == NO_NAME || reading->found == 0)
        return nothing(reading, flags);
    return DNS_FOUND;
}

enum dns_status dns_answer_read(struct bytes message, const struct dns_question *question,
                                struct dns_answer *answer)
{
    struct reading reading = {.message = message, .question = question, .answer = answer};
    struct reader reader = {message, 0};
    uint16_t id, flags, questions;

    answer->found_count = answer->address_count = 0;
    answer->ttl_s = UINT32_MAX;
    answer->why = NULL;
    answer->cut = false;
    if (message.size < HEAD || !read16(&reader, &id) || !read16(&reader, &flags) ||
        !read16(&reader, &questions) || id != question->id)
        return DNS_STRANGE;
    for (unsigned i = 0; i < 3; i++)
        read16(&reader, &reading.counts[i]);
    if (!is_answer(&reader, question, flags, questions))
        return DNS_STRANGE;
    switch (flags & 15) {
    case NO_ERROR:
    case NO_NAME:
        return flags & FLAG_CUT ? DNS_TRUNCATED : read_rest(&reading, reader, flags);
    case FORMAT_ERROR:
    case NOT_IMPLEMENTED:
        failed(answer, "it does not understand the question");
        return DNS_NOT_UNDERSTOOD;
    case SERVER_FAILURE:
        return failed(answer, "it cannot find out (SERVFAIL)");
    default:
        return failed(answer, "it refuses to answer (REFUSED, or another code)");
    }
}
