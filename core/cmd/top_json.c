/* A sample as JSON. See top_json.h. */
#include "cmd/top_json.h"

#include <cjson/cJSON.h>

static void add_calls(cJSON *object, const struct sample_calls *calls)
{
    size_t count;
    const struct error_code *codes = error_codes(&count);

    cJSON_AddNumberToObject(object, "calls_per_second", calls->rate);
    cJSON_AddNumberToObject(object, "errors_per_second", calls->error_rate);
    cJSON *errors = cJSON_AddObjectToObject(object, "errors_by_code");
    for (size_t e = 0; e < count; e++) {
        if (calls->errors[e] > 0)
            cJSON_AddNumberToObject(errors, codes[e].name[0] == '\0' ? "other" : codes[e].name,
                                    calls->errors[e]);
    }
    cJSON_AddNumberToObject(object, "p50_us", calls->p50_us);
    cJSON_AddNumberToObject(object, "p99_us", calls->p99_us);
}

static void add_worker(cJSON *list, const struct sample_worker *worker)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddNumberToObject(item, "slot", worker->slot);
    cJSON_AddNumberToObject(item, "pid", worker->pid);
    cJSON_AddNumberToObject(item, "generation", worker->generation);
    cJSON_AddStringToObject(item, "state", worker->state);
    cJSON_AddNumberToObject(item, "state_seconds", worker->state_s);
    cJSON_AddNumberToObject(item, "age_seconds", worker->age_s);
    cJSON_AddNumberToObject(item, "connections", worker->connections);
    cJSON_AddNumberToObject(item, "messages_per_second", worker->rate);
    cJSON_AddNumberToObject(item, "cpu", worker->cpu);
    cJSON_AddNumberToObject(item, "lag_us", worker->lag_us);
    cJSON_AddNumberToObject(item, "private_bytes", worker->private_bytes);
    cJSON_AddItemToArray(list, item);
}

static void add_method(cJSON *methods, const struct sample_method *method)
{
    cJSON *item = cJSON_AddObjectToObject(methods, method->name);

    add_calls(item, &method->lately);
    cJSON_AddNumberToObject(item, "in_flight", method->in_flight);
    cJSON_AddBoolToObject(item, "quarantined", method->quarantined);
}

static void add_tls(cJSON *top, const struct sample *sample)
{
    cJSON *tls = cJSON_AddObjectToObject(top, "tls");

    cJSON_AddNumberToObject(tls, "gates", sample->gates);
    cJSON_AddNumberToObject(tls, "open", sample->tls_open);
    cJSON_AddNumberToObject(tls, "handshaking", sample->handshaking);
    cJSON_AddNumberToObject(tls, "handshakes_per_second", sample->handshake_rate);
    cJSON_AddNumberToObject(tls, "failed_per_second", sample->handshake_failed_rate);
}

void top_json_append(struct text *out, const struct sample *sample)
{
    cJSON *top = cJSON_CreateObject();

    cJSON_AddNumberToObject(top, "interval_seconds", sample->interval_s);
    cJSON_AddNumberToObject(top, "generation", sample->generation);
    cJSON_AddNumberToObject(top, "uptime_seconds", sample->uptime_s);
    cJSON_AddNumberToObject(top, "connections", sample->open);
    cJSON_AddNumberToObject(top, "crashes", sample->crashes);
    cJSON_AddNumberToObject(top, "hangs", sample->hangs);
    add_calls(top, &sample->lately);
    if (sample_has_tls(sample))
        add_tls(top, sample);
    cJSON *workers = cJSON_AddArrayToObject(top, "workers");
    for (size_t i = 0; i < sample->worker_count; i++)
        add_worker(workers, &sample->workers[i]);
    cJSON *methods = cJSON_AddObjectToObject(top, "methods");
    for (size_t i = 0; i < sample->method_count; i++)
        add_method(methods, &sample->methods[i]);
    char *text = cJSON_PrintUnformatted(top);
    text_append_string(out, text == NULL ? "{}" : text);
    text_append_char(out, '\n');
    cJSON_free(text);
    cJSON_Delete(top);
}
