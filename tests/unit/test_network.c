/* What networks promise: see core/base/network.h. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/network.h"

static struct error error;

static bool has(const char *text, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct network network;

    ck_assert_msg(network_parse(text, &network, &error), "%s", error.text);
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return network_has(&network, (const struct sockaddr *)&v4);
    ck_assert_int_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return network_has(&network, (const struct sockaddr *)&v6);
}

START_TEST(networks_have_the_addresses_of_their_prefix)
{
    ck_assert(has("10.0.0.0/8", "10.255.1.2") && !has("10.0.0.0/8", "11.0.0.0"));
    ck_assert(has("192.0.2.64/26", "192.0.2.64") && has("192.0.2.64/26", "192.0.2.127"));
    ck_assert(!has("192.0.2.64/26", "192.0.2.63") && !has("192.0.2.64/26", "192.0.2.128"));
    ck_assert(has("192.0.2.1", "192.0.2.1") && !has("192.0.2.1", "192.0.2.0"));
    ck_assert(has("192.0.2.1/32", "192.0.2.1") && !has("192.0.2.1/32", "192.0.2.3"));
    ck_assert(has("0.0.0.0/0", "255.255.255.255") && !has("0.0.0.0/0", "::1"));
    ck_assert(has("::/0", "ffff::") && !has("::/0", "127.0.0.1"));
    ck_assert(has("2001:db8::/33", "2001:db8:7fff::1") && !has("2001:db8::/33", "2001:db8:8000::"));
    ck_assert(has("::1", "::1") && !has("::1", "::"));
}
END_TEST

START_TEST(a_network_has_no_other_family)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct network network;

    ck_assert(network_parse("0.0.0.0/0", &network, &error));
    ck_assert(!network_has(&network, &local));
}
END_TEST

START_TEST(what_is_no_network_is_an_error)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "\"\" is no network"},
        {"a.b", "\"a.b\" is no network"},
        {"10/8", "\"10/8\" is no network; write one as in 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1"},
        {"/8", "\"/8\" is no network"},
        {"10.0.0.0/", "\"10.0.0.0/\": the number behind the \"/\" must be from 0 to 32"},
        {"10.0.0.0/33", "must be from 0 to 32"},
        {"10.0.0.0/08", "must be from 0 to 32"},
        {"10.0.0.0/-1", "must be from 0 to 32"},
        {"10.0.0.0/8/8", "must be from 0 to 32"},
        {"10.0.0.0/4294967304", "must be from 0 to 32"},
        {"::/129", "must be from 0 to 128"},
        {"10.0.0.1/8",
         "\"10.0.0.1/8\" has more bits than the 8 of the network; write 10.0.0.1 for that address "
         "alone"},
        {"2001:db8::8000:0/112", ""},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1", "is no network"},
    };
    struct network network;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        bool good = network_parse(wrong[i].text, &network, &error);
        ck_assert_msg(good == (wrong[i].message[0] == '\0'), "%s", wrong[i].text);
        ck_assert_msg(good || strstr(error.text, wrong[i].message) != NULL, "%s", error.text);
    }
}
END_TEST

UNIT_MAIN("network", networks_have_the_addresses_of_their_prefix, a_network_has_no_other_family,
          what_is_no_network_is_an_error)
