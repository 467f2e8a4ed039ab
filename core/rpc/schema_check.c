/* Checking values by a schema. See schema_check.h.
 *
 * The text is valid JSON, so that every value has an end, and every object and array its bracket:
 * what ends a loop here is the bracket. Each function takes the place of a value and returns its
 * end. Where only the verdict counts (anyOf, not, if, …) the walk is a trial: it notes no fault,
 * and is over with the first. A walk that is over returns any place. */
#include "rpc/schema_check.h"

#include <stdlib.h>

#include "rpc/schema_fault.h"
#include "rpc/schema_value.h"
#include "wire/json_read.h"
#include "wire/json_text.h"
#include "wire/number.h"

struct walk {
    const char *end;
    uint64_t work;  /* that is left */
    unsigned stack; /* schemas in each other */
    bool trial, failed;
    bool deep;
    struct faults *faults;
};

static const char *check(struct walk *walk, const struct schema_node *node,
                         const struct schema_place *place, const char *p);

/* ---- The walk ---- */

static inline void charge(struct walk *walk, uint64_t units)
{
    walk->work -= walk->work < units ? walk->work : units;
}

static inline bool is_over(const struct walk *walk)
{
    return (walk->trial && walk->failed) || walk->work == 0 || walk->deep ||
           walk->faults->exhausted;
}

/* True when a fault is to be told; the value is wrong in any case. */
static bool faulty(struct walk *walk)
{
    walk->failed = true;
    return !walk->trial;
}

static const char *pass_over(struct walk *walk, const char *p)
{
    const char *end = json_read_past(p, walk->end);

    charge(walk, (uint64_t)(end - p) / 16);
    return end;
}

/* Tries whether the value is right by the node. */
static bool fits(struct walk *walk, const struct schema_node *node,
                 const struct schema_place *place, const char *p)
{
    bool trial = walk->trial, failed = walk->failed;

    walk->trial = true;
    walk->failed = false;
    check(walk, node, place, p);
    bool good = !walk->failed;
    walk->trial = trial;
    walk->failed = failed;
    return good;
}

/* ---- Strings and numbers ---- */

/* The end of the string at `p`, and how many characters it has. Most are of plain ASCII. */
static const char *measure_string(const struct walk *walk, const char *p, uint64_t *count)
{
    const char *quote = json_skip_plain(p + 1, walk->end);

    *count = (uint64_t)(quote - p) - 1;
    if (*quote == '"')
        return quote + 1;
    for (p++, *count = 0; json_text_next(&p) != JSON_TEXT_END;)
        ++*count;
    return p + 1;
}

static const char *check_string(struct walk *walk, const struct schema_node *node,
                                const struct schema_place *place, const char *p)
{
    const struct schema_string *string = node->string;
    uint64_t count;
    const char *end = measure_string(walk, p, &count);

    charge(walk, (uint64_t)(end - p) / 16);
    if (count < string->least || count > string->most) {
        if (faulty(walk))
            schema_fault_why(walk->faults, place, node, "got %llu character%s",
                             (unsigned long long)count, count == 1 ? "" : "s");
        return end;
    }
    if (string->pattern != NULL && !pattern_matches(string->pattern, p, &walk->work) &&
        walk->work > 0 && faulty(walk))
        schema_fault_why(walk->faults, place, node, "got another");
    return end;
}

static bool number_fits(const struct schema_number *number, struct bytes value)
{
    return (number->least.data == NULL || number_compare(value, number->least) >= 0) &&
           (number->most.data == NULL || number_compare(value, number->most) <= 0) &&
           (number->above.data == NULL || number_compare(value, number->above) > 0) &&
           (number->below.data == NULL || number_compare(value, number->below) < 0) &&
           (number->multiple.data == NULL || number_divides(number->multiple, value));
}

static const char *check_number(struct walk *walk, const struct schema_node *node,
                                const struct schema_place *place, const char *p)
{
    const char *end = number_end(p, walk->end);

    charge(walk, (uint64_t)(end - p) / 4);
    if (!number_fits(node->number, (struct bytes){p, (size_t)(end - p)}) && faulty(walk))
        schema_fault_value(walk->faults, place, node, p, walk->end);
    return end;
}

/* ---- Arrays ---- */

/* An item, for the search for two that are the same. */
struct item {
    uint64_t hash;
    struct bytes value;
    size_t index;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Finds an item that is there twice. */
static void find_twice(struct walk *walk, const struct schema_place *array,
                       const struct item *items, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        for (size_t j = i + 1; j < count && items[j].hash == items[i].hash; j++) {
            if (!schema_value_equal(items[i].value, items[j].value, &walk->work) || is_over(walk))
                continue;
            const struct schema_place place = {array, {NULL, 0}, items[j].index};
            if (faulty(walk))
                schema_fault_text(walk->faults, &place,
                                  "it is the same as [%zu], and each has to "
                                  "be there once",
                                  items[i].index);
            return;
        }
        if (is_over(walk))
            return;
    }
}

static void check_unique(struct walk *walk, const struct schema_place *place, const char *p,
                         size_t count)
{
    struct item *items = pool_alloc(walk->faults->pool, count * sizeof(*items));

    walk->faults->exhausted |= items == NULL;
    p = json_read_space(p + 1);
    for (size_t i = 0; i < count && !is_over(walk); i++) {
        const char *end = json_read_past(p, walk->end);
        const struct bytes value = {p, (size_t)(end - p)};
        charge(walk, 4);
        items[i] = (struct item){schema_value_hash(value, &walk->work), value, i};
        p = json_read_space(end);
        p = *p == ',' ? json_read_space(p + 1) : p;
    }
    if (is_over(walk))
        return;
    qsort(items, count, sizeof(*items), compare_items);
    find_twice(walk, place, items, count);
}

static void check_counts(struct walk *walk, const struct schema_node *node,
                         const struct schema_place *place, size_t count, size_t found)
{
    const struct schema_array *array = node->array;

    if ((count < array->least || count > array->most) && faulty(walk))
        schema_fault_why(walk->faults, place, node, "got %zu", count);
    if (array->contains == NULL ||
        (found >= array->contains_least && found <= array->contains_most) || !faulty(walk))
        return;
    if (array->contains_most == UINT64_MAX)
        schema_fault_text(walk->faults, place,
                          "at least %llu of its items of the kind that it has "
                          "to hold, got %zu",
                          (unsigned long long)array->contains_least, found);
    else
        schema_fault_text(walk->faults, place,
                          "%llu to %llu of its items of the kind that it has to hold, got %zu",
                          (unsigned long long)array->contains_least,
                          (unsigned long long)array->contains_most, found);
}

static const char *check_array(struct walk *walk, const struct schema_node *node,
                               const struct schema_place *place, const char *p)
{
    const struct schema_array *array = node->array;
    struct schema_place item = {place, {NULL, 0}, 0};
    const char *start = p;
    size_t found = 0;

    p = json_read_space(p + 1);
    while (*p != ']') {
        const struct schema_node *of =
            item.index < array->first.count ? array->first.of[item.index] : array->items;
        if (array->contains != NULL)
            found += fits(walk, array->contains, &item, p);
        p = of != NULL ? check(walk, of, &item, p) : pass_over(walk, p);
        if (is_over(walk))
            return p;
        item.index++;
        p = json_read_space(p);
        if (*p == ',')
            p = json_read_space(p + 1);
    }
    check_counts(walk, node, place, item.index, found);
    if (array->unique && item.index > 1 && !is_over(walk))
        check_unique(walk, place, start, item.index);
    return p + 1;
}

/* ---- Objects ---- */

/* The name among those of the object; NULL when it is not. `next` is the likely one: clients write
 * members in one order. */
static const struct schema_name *find_name(const struct schema_object *object, size_t next,
                                           const char *written, struct bytes raw)
{
    bool plain = memchr(raw.data, '\\', raw.size) == NULL;
    size_t low = 0, high = object->name_count;

    if (!plain) { /* it has escapes */
        for (size_t i = 0; i < object->name_count; i++) {
            if (schema_string_is(written, object->names[i].name))
                return &object->names[i];
        }
        return NULL;
    }
    if (next < object->name_count && bytes_equal(object->names[next].name, raw))
        return &object->names[next];
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct schema_name *name = object->sorted[middle];
        int order = name->name.size != raw.size ? (name->name.size < raw.size ? -1 : 1)
                                                : memcmp(name->name.data, raw.data, raw.size);
        if (order == 0)
            return name;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Members that there have to be. */
static void check_missing(struct walk *walk, const struct schema_object *object,
                          const struct schema_place *place, const uint64_t *seen, const char *p)
{
    static const struct schema_node any = {.kinds = KIND_ANY};

#define IS_SEEN(at) ((seen[(at) / 64] >> ((at) % 64) & 1) != 0)
    for (size_t i = 0; i < object->name_count && !is_over(walk); i++) {
        const struct schema_name *name = &object->names[i];
        struct schema_place member = {place, name->name, 0};
        if (name->required && !IS_SEEN(i) && faulty(walk))
            schema_fault_why(walk->faults, &member, name->value != NULL ? name->value : &any,
                             "got nothing");
        if (!name->asks || !IS_SEEN(i))
            continue;
        for (size_t b = 0; b < name->beside_count; b++) {
            member.name = object->names[name->beside[b]].name;
            if (!IS_SEEN(name->beside[b]) && faulty(walk))
                schema_fault_beside(walk->faults, &member, name->name);
        }
        if (name->whole != NULL)
            check(walk, name->whole, place, p);
    }
#undef IS_SEEN
}

/* Checks a member's value by all that is said of its name. Returns the value's end. */
static const char *check_member(struct walk *walk, const struct schema_object *object,
                                const struct schema_name *name, const struct schema_place *place,
                                const char *written, const char *p)
{
    bool known = name != NULL && name->value != NULL;
    const char *end = NULL;

    if (object->of_names != NULL)
        check(walk, object->of_names, place, written);
    if (known && !is_over(walk))
        end = check(walk, name->value, place, p);
    for (size_t i = 0; i < object->matching_count && !is_over(walk); i++) {
        if (!pattern_matches(object->matching[i].pattern, written, &walk->work))
            continue;
        known = true;
        end = check(walk, object->matching[i].value, place, p);
    }
    if (known || object->others == NULL || is_over(walk))
        return end != NULL ? end : pass_over(walk, p);
    if (!object->others->nothing)
        return check(walk, object->others, place, p);
    if (faulty(walk))
        schema_fault_unknown(walk->faults, place, object);
    return pass_over(walk, p);
}

static const char *check_object(struct walk *walk, const struct schema_node *node,
                                const struct schema_place *place, const char *p)
{
    const struct schema_object *object = node->object;
    uint64_t seen[SCHEMA_NAMES_MAX / 64];
    struct schema_place member = {place, {NULL, 0}, 0};
    const char *start = p;
    size_t count = 0, next = 0;

    if (object->asks)
        memset(seen, 0, (object->name_count + 63) / 64 * sizeof(*seen));
    p = json_read_space(p + 1);
    while (*p != '}') {
        const char *written = p;
        p = json_read_string_past(p, walk->end);
        member.name = (struct bytes){written + 1, (size_t)(p - written) - 2};
        charge(walk, member.name.size / 16);
        const struct schema_name *name = find_name(object, next, written, member.name);
        if (name != NULL) {
            next = (size_t)(name - object->names);
            if (object->asks)
                seen[next / 64] |= UINT64_C(1) << (next % 64);
            next++;
        }
        p = json_read_space(json_read_space(p) + 1);
        p = check_member(walk, object, name, &member, written, p);
        if (is_over(walk))
            return p;
        count++;
        p = json_read_space(p);
        if (*p == ',')
            p = json_read_space(p + 1);
    }
    if (object->asks)
        check_missing(walk, object, place, seen, start);
    if ((count < object->least || count > object->most) && faulty(walk))
        schema_fault_why(walk->faults, place, node, "got %zu", count);
    return p + 1;
}

/* ---- What the same value has to be besides ---- */

/* The schema that this one only refers to; or else this one. There are no circles. */
static const struct schema_node *behind_reference(const struct schema_node *node)
{
    while (node->kinds == KIND_ANY && node->all.count == 1)
        node = node->all.of[0];
    return node;
}

static bool takes_kind(const struct schema_node *node, const char *p)
{
    node = behind_reference(node);
    unsigned kind = schema_kind(p), kinds = node->kinds;

    return !node->nothing && ((kinds & kind) != 0 || (kind == KIND_NUMBER && (kinds & KIND_WHOLE)));
}

/* The value is none of the forms. Where only one of them is of the value's kind, that is what was
 * meant, and its own faults are told. */
static void refuse_forms(struct walk *walk, const struct schema_node *node,
                         const struct schema_list *list, const struct schema_place *place,
                         const char *p)
{
    const struct schema_node *meant = NULL;
    size_t count = 0;

    if (!faulty(walk))
        return;
    for (size_t i = 0; i < list->count; i++) {
        if (takes_kind(list->of[i], p)) {
            meant = list->of[i];
            count++;
        }
    }
    if (count == 1)
        check(walk, meant, place, p);
    else if (count == 0 && node->kinds == KIND_ANY)
        schema_fault_value(walk->faults, place, node, p, walk->end);
    else
        schema_fault_text(walk->faults, place, "it is none of the %zu forms that it may have",
                          list->count);
}

static void check_any(struct walk *walk, const struct schema_node *node,
                      const struct schema_place *place, const char *p)
{
    for (size_t i = 0; i < node->any.count; i++) {
        if (fits(walk, node->any.of[i], place, p) || is_over(walk))
            return;
    }
    refuse_forms(walk, node, &node->any, place, p);
}

static void check_one(struct walk *walk, const struct schema_node *node,
                      const struct schema_place *place, const char *p)
{
    size_t count = 0;

    for (size_t i = 0; i < node->one.count && count < 2; i++) {
        count += fits(walk, node->one.of[i], place, p);
        if (is_over(walk))
            return;
    }
    if (count == 0)
        refuse_forms(walk, node, &node->one, place, p);
    else if (count > 1 && faulty(walk))
        schema_fault_text(walk->faults, place,
                          "it has more than one of the %zu forms of which it may have one",
                          node->one.count);
}

/* By what node->… says of the value as a whole. Returns its end, or NULL where nothing has walked
 * through it. */
static const char *check_besides(struct walk *walk, const struct schema_node *node,
                                 const struct schema_place *place, const char *p, const char *end)
{
    for (size_t i = 0; i < node->all.count && !is_over(walk); i++)
        end = check(walk, node->all.of[i], place, p);
    if (node->any.count > 0 && !is_over(walk))
        check_any(walk, node, place, p);
    if (node->one.count > 0 && !is_over(walk))
        check_one(walk, node, place, p);
    if (node->not != NULL && !is_over(walk) && fits(walk, node->not, place, p) && !is_over(walk) &&
        faulty(walk))
        schema_fault_text(walk->faults, place, "it is what it must not be");
    if (node->when != NULL && !is_over(walk)) {
        const struct schema_node *next =
            fits(walk, node->when, place, p) ? node->then : node->otherwise;
        if (next != NULL && !is_over(walk))
            end = check(walk, next, place, p);
    }
    return end;
}

/* ---- Values ---- */

static bool is_among(struct walk *walk, const struct schema_node *node, const char *p)
{
    const char *end = json_read_past(p, walk->end);
    const struct bytes value = {p, (size_t)(end - p)};

    if (node->constant.data != NULL && !schema_value_equal(value, node->constant, &walk->work))
        return false;
    for (size_t i = 0; i < node->value_count; i++) {
        if (schema_value_equal(value, node->values[i], &walk->work))
            return true;
    }
    return !node->has_values;
}

/* True when the value is of a kind that the node takes. */
static inline bool kind_is_right(const struct walk *walk, const struct schema_node *node,
                                 unsigned kind, const char *p)
{
    int64_t whole;

    if ((node->kinds & kind) != 0)
        return true;
    if (kind != KIND_NUMBER || (node->kinds & KIND_WHOLE) == 0)
        return false;
    struct bytes number = {p, (size_t)(number_end(p, walk->end) - p)};
    return number_integer(number, &whole) != NUMBER_FRACTION;
}

static const char *check(struct walk *walk, const struct schema_node *node,
                         const struct schema_place *place, const char *p)
{
    unsigned kind = schema_kind(p);
    const char *end = NULL;

    charge(walk, 1);
    walk->deep |= walk->stack == SCHEMA_STACK_MAX;
    if (walk->deep)
        return p;
    if (node->nothing || !kind_is_right(walk, node, kind, p) ||
        ((node->has_values || node->constant.data != NULL) && !is_among(walk, node, p))) {
        if (walk->work > 0 && faulty(walk))
            schema_fault_value(walk->faults, place, node, p, walk->end);
        return pass_over(walk, p);
    }
    walk->stack++;
    if (kind == KIND_OBJECT && node->object != NULL)
        end = check_object(walk, node, place, p);
    else if (kind == KIND_ARRAY && node->array != NULL)
        end = check_array(walk, node, place, p);
    else if (kind == KIND_STRING && node->string != NULL)
        end = check_string(walk, node, place, p);
    else if (kind == KIND_NUMBER && node->number != NULL)
        end = check_number(walk, node, place, p);
    if (node->height > 1)
        end = check_besides(walk, node, place, p, end);
    walk->stack--;
    return end != NULL || is_over(walk) ? end : pass_over(walk, p);
}

void schema_check(const struct schema *schema, struct bytes value, const char *name,
                  struct faults *faults)
{
    const struct schema_place place = {NULL, bytes_of(name), 0};
    struct walk walk = {
        .end = value.data + value.size,
        .work = SCHEMA_WORK_BASE + (uint64_t)value.size * SCHEMA_WORK_BYTE,
        .faults = faults,
    };

    check(&walk, schema->root, &place, json_read_space(value.data));
    if (walk.work == 0)
        schema_fault_text(faults, &place, "to check it by its schema takes too much work");
    if (walk.deep)
        schema_fault_text(faults, &place, "it is nested too deeply for its schema");
}

bool schema_wants_object(const struct schema *schema)
{
    return schema->root->kinds == KIND_OBJECT;
}

bool schema_wants_text(const struct schema *schema, struct bytes name)
{
    const struct schema_object *object = behind_reference(schema->root)->object;

    for (size_t i = 0; object != NULL && i < object->name_count; i++) {
        const struct schema_name *known = &object->names[i];
        if (known->value != NULL && bytes_equal(known->name, name))
            return behind_reference(known->value)->kinds == KIND_STRING;
    }
    return false;
}
