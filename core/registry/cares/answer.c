/* See answer.h; RFC 1035 section 4, RFC 2308 section 5, RFC 2782. */
#include "answer.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALIASES_MAX 8

/* An answer that is being read. */
struct reading {
    ns_msg message;
    enum dns_type type;
    const char *asked;
    char name[DNS_NAME_MAX]; /* what was asked for, behind its aliases */
    bool aliased, endless;   /* it has aliases; more than anybody would follow */
    struct dns_answer *answer;
    size_t found; /* records of what was asked for */
    bool soa;
};

/* ---- Names and numbers ---- */

/* Copies a name in lower case, if it is one that can be asked for; the root's is "". */
static bool take_name(const char *name, char to[DNS_NAME_MAX])
{
    size_t size = strlen(name);

    if (size > 0 && name[size - 1] == '.')
        size--;
    if (size >= DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
        to[i] = c;
    }
    to[size] = '\0';
    return true;
}

/* Reads the name at `skip` bytes of a record's data, in text. Returns its size there; -1: damaged.
 */
static int read_name(const struct reading *reading, const ns_rr *record, size_t skip,
                     char text[NS_MAXDNAME])
{
    const unsigned char *data = ns_rr_rdata(*record);
    int size = ns_rr_rdlen(*record) <= skip
                   ? -1
                   : ns_name_uncompress(ns_msg_base(reading->message), ns_msg_end(reading->message),
                                        data + skip, text, NS_MAXDNAME);

    return size < 0 || skip + (size_t)size > ns_rr_rdlen(*record) ? -1 : size;
}

/* TTLs have 31 bits; larger ones are none (RFC 2181 section 8). */
static uint32_t seconds(uint32_t ttl)
{
    return ttl > INT32_MAX ? 0 : ttl;
}

static void least(uint32_t *ttl, uint32_t other)
{
    if (other < *ttl)
        *ttl = other;
}

static bool is_of(const ns_rr *record, const char *name)
{
    char owner[DNS_NAME_MAX];

    return ns_rr_class(*record) == ns_c_in && take_name(ns_rr_name(*record), owner) &&
           strcmp(owner, name) == 0;
}

/* ---- Aliases ---- */

/* Goes to the name that this one is an alias of. False when the answer is damaged. */
static bool next_alias(struct reading *reading, bool *found)
{
    char text[NS_MAXDNAME], target[DNS_NAME_MAX];
    ns_rr record;

    *found = false;
    for (int i = 0; i < ns_msg_count(reading->message, ns_s_an) && !*found; i++) {
        if (ns_parserr(&reading->message, ns_s_an, i, &record) < 0)
            return false;
        if (ns_rr_type(record) != ns_t_cname || !is_of(&record, reading->name))
            continue;
        if (read_name(reading, &record, 0, text) != ns_rr_rdlen(record))
            return false;
        *found = take_name(text, target);
        if (*found)
            least(&reading->answer->ttl_s, seconds(ns_rr_ttl(record)));
    }
    if (*found)
        strcpy(reading->name, target);
    reading->aliased = reading->aliased || *found;
    return true;
}

static bool follow_aliases(struct reading *reading)
{
    bool found = true;

    for (unsigned i = 0; i <= ALIASES_MAX && found; i++) {
        if (!next_alias(reading, &found))
            return false;
    }
    reading->endless = found;
    return true;
}

/* ---- Records ---- */

static bool add_server(struct reading *reading, const ns_rr *record)
{
    enum { FIXED = 6 }; /* bytes before the target */
    struct dns_answer *answer = reading->answer;
    const unsigned char *data = ns_rr_rdata(*record);
    char text[NS_MAXDNAME];
    struct dns_server server;
    int size = read_name(reading, record, FIXED, text);

    if (size < 0 || size + FIXED != ns_rr_rdlen(*record))
        return false;
    if (!take_name(text, server.target) || answer->found_count == DNS_SERVERS_MAX) {
        answer->cut = true;
        return true;
    }
    server.priority = (uint16_t)ns_get16(data);
    server.weight = (uint16_t)ns_get16(data + 2);
    server.port = (uint16_t)ns_get16(data + 4);
    reading->found++;
    least(&answer->ttl_s, seconds(ns_rr_ttl(*record)));
    answer->found[answer->found_count++] = server;
    return true;
}

static bool add_address(struct reading *reading, const ns_rr *record, const char *owner)
{
    struct dns_answer *answer = reading->answer;
    size_t size = ns_rr_type(*record) == ns_t_a ? 4 : 16;
    struct dns_address address = {.ttl_s = seconds(ns_rr_ttl(*record)),
                                  .type = (uint16_t)ns_rr_type(*record)};

    if (ns_rr_rdlen(*record) != size)
        return false;
    if (!take_name(owner, address.owner))
        return true;
    if (answer->address_count == DNS_ADDRESSES_MAX) {
        answer->cut = true;
        return true;
    }
    memcpy(address.bytes, ns_rr_rdata(*record), size);
    answer->addresses[answer->address_count++] = address;
    return true;
}

/* How long it holds that there is nothing: the last number of the zone's SOA, or its TTL. */
static bool read_soa(struct reading *reading, const ns_rr *record)
{
    enum { NUMBERS = 5 * 4 };
    char text[NS_MAXDNAME];
    int first = read_name(reading, record, 0, text);
    int second = first < 0 ? -1 : read_name(reading, record, (size_t)first, text);

    if (second < 0 || first + second + NUMBERS != ns_rr_rdlen(*record))
        return false;
    const unsigned char *numbers = ns_rr_rdata(*record) + first + second;
    reading->soa = true;
    least(&reading->answer->ttl_s, seconds(ns_rr_ttl(*record)));
    least(&reading->answer->ttl_s, seconds((uint32_t)ns_get32(numbers + NUMBERS - 4)));
    return true;
}

static bool take_record(struct reading *reading, ns_sect section, const ns_rr *record)
{
    ns_type type = ns_rr_type(*record);

    if (ns_rr_class(*record) != ns_c_in)
        return true;
    if (section == ns_s_ns)
        return type != ns_t_soa || read_soa(reading, record);
    if (section == ns_s_ar)
        return (type != ns_t_a && type != ns_t_aaaa) ||
               add_address(reading, record, ns_rr_name(*record));
    if ((int)type != (int)reading->type || !is_of(record, reading->name))
        return true;
    if (type == ns_t_srv)
        return add_server(reading, record);
    reading->found++;
    least(&reading->answer->ttl_s, seconds(ns_rr_ttl(*record)));
    return add_address(reading, record, reading->asked);
}

static bool take_records(struct reading *reading)
{
    static const ns_sect sections[] = {ns_s_an, ns_s_ns, ns_s_ar};
    ns_rr record;

    for (size_t s = 0; s < sizeof(sections) / sizeof(*sections); s++) {
        for (int i = 0; i < ns_msg_count(reading->message, sections[s]); i++) {
            if (ns_parserr(&reading->message, sections[s], i, &record) < 0 ||
                !take_record(reading, sections[s], &record))
                return false;
        }
    }
    return true;
}

/* ---- The whole ---- */

static void fail(struct dns_answer *answer, const char *why)
{
    answer->status = DNS_FAILED;
    answer->found_count = answer->address_count = 0;
    snprintf(answer->why, sizeof(answer->why), "%s", why);
}

/* Nothing was found by an answer without error, or the name is said not to be there. A server that
 * neither knows the zone nor asks others has said nothing by that. */
static void find_nothing(struct reading *reading)
{
    struct dns_answer *answer = reading->answer;

    if (!reading->soa)
        answer->ttl_s = 0;
    /* One that knows a zone and asks nobody knows nothing of where an alias leads to elsewhere. */
    bool knows = answer->authoritative && !reading->aliased;
    if (!knows && !reading->soa && !ns_msg_getflag(reading->message, ns_f_ra)) {
        fail(answer, "it answers for other zones alone, and asks nobody else");
        return;
    }
    answer->status = DNS_NONE;
    answer->found_count = answer->address_count = 0;
}

static void read_rest(struct reading *reading)
{
    struct dns_answer *answer = reading->answer;
    int code = ns_msg_getflag(reading->message, ns_f_rcode);

    if (ns_msg_getflag(reading->message, ns_f_tc))
        fail(answer, "it says by TCP that its answer is cut");
    else if (!take_name(reading->asked, reading->name) || !follow_aliases(reading) ||
             !take_records(reading))
        fail(answer, "its answer is damaged");
    else if (reading->endless)
        fail(answer, "the name is an alias of aliases without an end");
    else if (code == ns_r_nxdomain || reading->found == 0)
        find_nothing(reading);
}

const struct dns_answer *answer_read(const unsigned char *bytes, size_t size, const char *name,
                                     enum dns_type type)
{
    static struct dns_server found[DNS_SERVERS_MAX];
    static struct dns_address addresses[DNS_ADDRESSES_MAX];
    static struct dns_answer answer;
    struct reading reading = {.type = type, .asked = name, .answer = &answer};

    answer = (struct dns_answer){
        .status = DNS_FOUND, .ttl_s = UINT32_MAX, .found = found, .addresses = addresses};
    if (size > INT_MAX || ns_initparse(bytes, (int)size, &reading.message) < 0) {
        fail(&answer, "its answer is damaged");
        return &answer;
    }
    answer.authoritative = ns_msg_getflag(reading.message, ns_f_aa) != 0;
    switch (ns_msg_getflag(reading.message, ns_f_rcode)) {
    case ns_r_noerror:
    case ns_r_nxdomain:
        read_rest(&reading);
        break;
    case ns_r_formerr:
    case ns_r_notimpl:
        fail(&answer, "it does not understand the question");
        break;
    case ns_r_servfail:
        fail(&answer, "it cannot find out (SERVFAIL)");
        break;
    default:
        fail(&answer, "it refuses to answer (REFUSED, or another code)");
    }
    return &answer;
}
