/* docs/configuration.md: the grammar in words, and every directive from the table. See
 * settings_table.h.
 *
 * The text about each directive comes from the table; the text that concerns all of them is
 * here. */
#include "conf/directive.h"
#include "conf/settings_table.h"

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from the server's own table of directives, core/conf/settings_*.def. -->\n"
    "\n"
    "Pillion reads one file: `conf/pillion.conf` below its prefix, unless `-c` names\n"
    "another. This is a whole one:\n"
    "\n"
    "```nginx\n"
    "worker_processes auto;\n"
    "error_log stderr info;\n"
    "\n"
    "load_module modules/ping.so;\n"
    "load_module modules/hello.so { greeting \"hi\"; }   # a module's own directives\n"
    "\n"
    "server {\n"
    "    listen 127.0.0.1:8080;\n"
    "    max_frame 1m;\n"
    "    method ping;\n"
    "    method greet { handler hello.greet; timeout 200ms; }\n"
    "}\n"
    "```\n"
    "\n"
    "`pillion -t` checks it and tries its modules without touching a running server,\n"
    "`pillion -T` shows it with all includes, and `pillion -s reload` puts it to use.\n"
    "Errors name file, line and column:\n"
    "\n"
    "```\n"
    "conf/pillion.conf:12:5: unknown directive \"lisen\"; did you mean \"listen\"?\n"
    "   12 |     lisen 127.0.0.1:8080;\n"
    "      |     ^~~~~\n"
    "```\n"
    "\n"
    "## How it is written\n"
    "\n"
    "- A directive is a name, its arguments, and `;` or a block in `{` and `}`. White\n"
    "  space and line ends separate words and mean nothing else. `#` starts a comment\n"
    "  that ends with the line.\n"
    "- **Quotes**, `\"…\"` or `'…'`, make one word of anything: spaces, semicolons, braces,\n"
    "  line ends. Inside, `\\\"` `\\'` `\\\\` `\\n` `\\t` `\\r` stand for what they usually do.\n"
    "  Outside, a backslash takes the next character as it is.\n"
    "- **SIZE** is a number of bytes, or one with `k`, `m` or `g` (powers of 1024):\n"
    "  `512`, `16k`, `1m`, `2g`.\n"
    "- **TIME** is a number with `ms`, `s`, `m`, `h` or `d`, or a sum of such, the\n"
    "  largest first: `200ms`, `5s`, `1m30s`. A bare number is seconds.\n"
    "- **PATH** starts at the prefix (`-p`) unless it starts with `/`.\n"
    "- **`include PATTERN;`** stands for the contents of a file, or of all files that\n"
    "  match a pattern such as `conf.d/*.conf`, sorted by name. It may stand in any\n"
    "  block. A pattern may match nothing; a plain name must exist.\n"
    "- A directive is written once in a block, unless it says that it repeats. One that\n"
    "  takes any number of words (`WORD …`) goes on where it is written again. An unknown\n"
    "  directive is an error, and so is a value out of bounds: nothing is guessed, and\n"
    "  nothing is passed over.\n"
    "- **`pillion -g 'worker_processes 1; daemon off;'`** gives directives of the main\n"
    "  part on the command line. They override the file's; those that repeat are added to\n"
    "  the file's.\n"
    "\n";

static const struct section {
    enum conf_context context;
    const char *title;
    const char *context_name;
    const char *about;
} sections[] = {
    {CONF_IN_MAIN, "Main", "main", "These stand outside every block."},
    {CONF_IN_SERVER, "In `server`", "server", "These stand in a `server` block."},
    {CONF_IN_METHOD, "In `method`", "method", "These stand in the block of a `method`."},
    {CONF_IN_REGISTRY, "In `registry`", "registry", "These stand in the block of `registry`."},
};

#define COLUMNS 100u

/* Breaks `words` into lines of at most COLUMNS bytes; those after the first begin with `indent`. */
static void append_wrapped(struct text *out, const char *words, const char *indent)
{
    size_t column = 0;

    while (*words != '\0') {
        size_t size = strcspn(words, " ");
        if (column > 0) {
            bool fits = column + 1 + size <= COLUMNS;
            text_printf(out, "%s%s", fits ? " " : "\n", fits ? "" : indent);
            column = fits ? column + 1 : strlen(indent);
        }
        text_append(out, (struct bytes){words, size});
        column += size;
        words += size;
        words += strspn(words, " ");
    }
    text_append_char(out, '\n');
}

/* Links to the directive's section: renderers of Markdown make anchors in lower case. */
static void append_link(struct text *out, const char *name)
{
    text_printf(out, "[%s](#", name);
    for (; *name != '\0'; name++)
        text_append_char(out, *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name);
    text_append_char(out, ')');
}

static void append_contents(struct text *out)
{
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        const char *between = "";
        struct text line = {0};
        text_printf(&line, "- %s: ", sections[i].title);
        for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
            if ((d->contexts & sections[i].context) == 0)
                continue;
            text_append_string(&line, between);
            append_link(&line, d->name);
            between = ", ";
        }
        append_wrapped(out, text_string(&line), "  ");
        text_free(&line);
    }
    text_append_char(out, '\n');
}

#define SYNTAX_INDENT "\n          "

/* A syntax that is longer than a line goes on below, from a parameter on. */
static void append_syntax(struct text *out, const struct conf_directive *directive)
{
    const size_t room = COLUMNS - (sizeof(SYNTAX_INDENT) - 2);
    struct text written = {0};

    conf_written(directive, SYNTAX_INDENT, &written);
    const char *line = text_string(&written), *at = line;
    for (const char *next; strchr(line, '\n') == NULL && strlen(at) > room; at = next) {
        for (next = at + room; next > at && (next[0] != ' ' || next[1] != '['); next--)
            continue;
        if (next++ == at)
            break;
        text_printf(out, "%.*s" SYNTAX_INDENT, (int)(next - 1 - at), at);
    }
    text_append_string(out, at);
    text_free(&written);
}

static void append_directive(struct text *out, const struct section *section,
                             const struct conf_directive *directive)
{
    struct text bounds = {0};

    text_printf(out, "### %s\n\n```\nSyntax:   ", directive->name);
    append_syntax(out, directive);
    if (directive->fallback != NULL)
        text_printf(out, "\nDefault:  %s %s;\n", directive->name, directive->fallback);
    else
        text_printf(out, "\nDefault:  none%s\n", directive->required ? "; it must be written" : "");
    text_printf(out, "Context:  %s%s\n", section->context_name,
                directive->repeats ? "; it repeats" : "");
    if (conf_bounds(directive, &bounds))
        text_printf(out, "Bounds:   %s%s\n", text_string(&bounds),
                    conf_nought_is_off(directive) ? "; 0 means off" : "");
    text_append_string(out, "```\n\n");
    append_wrapped(out, directive->summary, "");
    text_append_char(out, '\n');
    text_free(&bounds);
}

void settings_reference(struct text *out)
{
    text_append_string(out, introduction);
    text_append_string(out, "## Directives\n\n");
    append_contents(out);
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        text_printf(out, "## %s\n\n%s\n\n", sections[i].title, sections[i].about);
        for (const struct conf_directive *d = settings_directives; d->name != NULL; d++) {
            if ((d->contexts & sections[i].context) != 0)
                append_directive(out, &sections[i], d);
        }
    }
    /* Ends with one newline, not with an empty line. */
    if (out->size > 0)
        out->data[--out->size] = '\0';
}
