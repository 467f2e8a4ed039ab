# What <pillion/module.h> declares, as mdoc(7): its structures with their members, and its functions,
# each with the first sentence of its comment. In the page pillion-module.7 it takes the place of
# the lines .\" @structures and .\" @functions.
#
#     awk -f header.awk module.h pillion-module.7

# The text in the form of mdoc: backslashes, characters beyond ASCII, and no macro at the start.
function plain(text) {
    gsub(/\\/, "\\e", text)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\(oq" substr(text, RSTART + 1, RLENGTH - 2) "\\(cq" \
               substr(text, RSTART + RLENGTH)
    gsub(/\342\200\246/, "...", text)
    return wrapped(text)
}

# In lines of 78 bytes, none of which looks like a macro's.
function wrapped(text,   list, count, i, line, out) {
    count = split(text, list, /[ \n]+/)
    for (i = 1; i <= count; i++) {
        if (line != "" && (length(line) + 1 + length(list[i]) > 78 || line ~ /[^.][.]$/)) {
            out = out line "\n"
            line = ""
        }
        line = line == "" ? (list[i] ~ /^[.']/ ? "\\&" : "") list[i] : line " " list[i]
    }
    return out line
}

function quoted(text) {
    gsub(/\\/, "\\e", text)
    gsub(/"/, "\\(dq", text)
    return "\"" text "\""
}

# A comment without its marks, or its first sentence.
function words(comment,   at) {
    gsub(/^ *(\/\*+)? *| *\*\/$/, "", comment)
    gsub(/[ \t]+/, " ", comment)
    return comment
}

function sentence(comment,   at) {
    comment = words(comment)
    at = match(comment, /[^.][.:]( [A-Z{(]|$)|[^.][.] [a-z]+: /)
    return at > 0 ? substr(comment, 1, at) "." : comment
}

# Takes a declaration's comment off its end.
function split_comment(line) {
    trailing = ""
    if (match(line, /\/\*.*\*\//)) {
        trailing = words(substr(line, RSTART, RLENGTH))
        line = substr(line, 1, RSTART - 1)
    }
    gsub(/ PILLION_0/, "", line)
    gsub(/[ \t]+/, " ", line)
    gsub(/^ | ?; ?$/, "", line)
    return line
}

function add_structure(text) { structures = structures text "\n" }
function add_function(text) { functions = functions text "\n" }

# "int pillion_x(int a, void (*b)(int c, int d));" as .Ft and .Fn, each argument by itself.
function function_lines(line,   at, name, type, list, depth, i, c, arguments, one) {
    at = index(line, "(")
    name = substr(line, 1, at - 1)
    match(name, /pillion_[a-z_0-9]+$/)
    type = substr(name, 1, RSTART - 1)
    name = substr(name, RSTART)
    list = substr(line, at + 1)
    sub(/\)( PILLION_PRINTF\([0-9, ]*\))?;.*$/, "", list)
    gsub(/^ +| +$/, "", type)
    for (i = 1; i <= length(list); i++) {
        c = substr(list, i, 1)
        depth += (c == "(") - (c == ")")
        if (c == "," && depth == 0) {
            arguments = arguments " " quoted(one)
            one = ""
        } else if (c != " " || one != "") {
            one = one c
        }
    }
    return ".It Xo\n.Ft " quoted(type) "\n.Fn " name arguments " " quoted(one) "\n.Xc"
}

function member_line(line) {
    line = split_comment(line)
    if (line == "")
        return
    add_structure(".It Li " quoted(line))
    text = trailing != "" ? trailing : about != "" ? sentence(about) : ""
    if (about != "")
        comments_before = about
    # "start: once in each worker …" in a comment that tells of several.
    match(line, /[a-z_0-9]+$|\(\*[a-z_]+/)
    name = substr(line, RSTART, RLENGTH)
    gsub(/[(*]/, "", name)
    at = index(comments_before, " " name ": ")
    if (trailing == "" && at > 0)
        text = sentence(substr(comments_before, at + length(name) + 3))
    about = ""
    if (text == "")
        return
    if (text ~ /^[a-z]+ /) # not of "offsetof(…)"
        text = toupper(substr(text, 1, 1)) substr(text, 2)
    add_structure(plain(text (text ~ /[.]$/ ? "" : ".")))
}

function logical(line) {
    if (line ~ /^\/\* ---- .* ---- \*\/$/) {
        gsub(/^\/\* ---- | ---- \*\/$/, "", line)
        title = line
        about = ""
    } else if (line ~ /^ *\/\*.*\*\/$/) {
        about = line
        gsub(/^ +/, "", about)
    } else if (line ~ /^typedef struct (pillion_[a-z]+ )?\{$/ || line ~ /^struct pillion_[a-z]+ \{$/) {
        match(line, /pillion_[a-z]+/)
        structure = RSTART > 0 ? substr(line, RSTART, RLENGTH) : ""
        if (structure == "pillion_param")
            about = param_about
        in_structure = structure ~ /^pillion_(directive|param|method|filter|metric|module)$/
        if (in_structure) {
            add_structure(".Ss The structure " structure)
            add_structure(plain(sentence(about)))
            add_structure(".Bl -tag -width Ds")
        }
        comments_before = about
        about = ""
    } else if (line ~ /^typedef struct pillion_param pillion_param;/) {
        param_about = about
    } else if (line ~ /^\}/) {
        if (in_structure)
            add_structure(".El")
        in_structure = 0
        about = ""
    } else if (in_structure) {
        member_line(line)
    } else if (line ~ /^[a-z].*pillion_[a-z_0-9]+\(.*;$/ && line !~ /^typedef/) {
        if (title != "" && title != shown) {
            add_function((shown == "" ? "" : ".El\n") ".Ss " title "\n.Bl -tag -width Ds")
            shown = title
        }
        add_function(function_lines(line))
        if (about != "")
            add_function(plain(sentence(about)))
        about = ""
    } else if (line ~ /^$/) {
        about = ""
    }
}

# Lines of a comment, of a prototype, and of a macro, joined.
FNR == NR {
    if (held == "" && $0 ~ /^#/) {
        macro = $0 ~ /\\$/
        next
    }
    if (macro) {
        macro = $0 ~ /\\$/
        next
    }
    line = $0
    if (held != "") {
        if (line !~ /^ *\*\//)
            sub(/^ *\* ?/, "", line)
        sub(/^ +/, "", line)
        held = held " " line
    } else {
        held = line
    }
    comments = gsub(/\/\*/, "/*", held) - gsub(/\*\//, "*/", held)
    if (comments > 0)
        next
    code = held
    gsub(/\/\*.*\*\//, "", code)
    if (code ~ /^[a-z][^{]*\([^;{]*$/ && code !~ /^typedef struct/)
        next
    if (in_structure && code ~ /[^;{} ]/ && code !~ /[;{}] *$/)
        next
    logical(held)
    held = ""
    next
}

/^\.\\" @structures/ { printf "%s", structures; next }
/^\.\\" @functions/ { printf "%s.El\n", functions; next }
{ print }
