// A form from a JSON schema: a field for each property of an object, JSON for whatever else.

/** The one type of a property that a field of its own can have; "json" for all others. */
function fieldType(schema) {
  if (schema === true || schema === false || schema === null || typeof schema !== "object") return "json";
  if (Array.isArray(schema.enum) && schema.enum.every((v) => typeof v !== "object" || v === null)) return "enum";
  const types = [].concat(schema.type ?? []).filter((t) => t !== "null");
  return types.length === 1 && ["string", "integer", "number", "boolean"].includes(types[0]) ? types[0] : "json";
}

const hasFields = (schema) =>
  schema !== null && typeof schema === "object" && typeof schema.properties === "object" && Object.keys(schema.properties).length > 0;

/** What limits a value, in words. */
function limits(schema) {
  const said = [];
  if (schema.minimum !== undefined) said.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) said.push(`at most ${schema.maximum}`);
  if (schema.minLength !== undefined && schema.minLength > 1) said.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) said.push(`at most ${schema.maxLength} characters`);
  if (schema.pattern !== undefined) said.push(`like ${schema.pattern}`);
  if (schema.default !== undefined) said.push(`otherwise ${JSON.stringify(schema.default)}`);
  return said.join(", ");
}

function control(type, schema, id, needed, described) {
  const common = {id, "aria-describedby": described, required: needed && type !== "string", "aria-required": needed ? "true" : undefined};
  const options = (list) => [needed ? null : make("option", {value: ""}, "(left out)"), ...list].filter(Boolean);
  if (type === "enum")
    return make("select", common, ...options(schema.enum.map((v) => make("option", {value: JSON.stringify(v)}, typeof v === "string" ? v : JSON.stringify(v)))));
  if (type === "boolean")
    return make("select", common, ...options([make("option", {value: "true"}, "true"), make("option", {value: "false"}, "false")]));
  if (type === "json")
    return make("textarea", {...common, rows: 3, spellcheck: "false"});
  if (type === "string")
    return make("input", {...common, type: "text", autocomplete: "off", spellcheck: "false", minlength: schema.minLength, maxlength: schema.maxLength});
  return make("input", {...common, type: "number", step: type === "integer" ? 1 : "any", min: schema.minimum, max: schema.maximum});
}

/** A field; `read()` gives undefined for what is left out, and throws what is wrong. */
function makeField(name, schema, needed, number) {
  const type = fieldType(schema), id = `field-${number}`, about = typeof schema === "object" && schema !== null ? schema : {};
  const input = control(type, about, id, needed, `${id}-hint ${id}-wrong`);
  const hint = [about.description, limits(about)].filter(Boolean).join(" ");
  const wrong = make("p", {class: "wrong", id: `${id}-wrong`});
  const shown = type === "json" ? [].concat(about.type ?? "JSON").join(" or ") + (about.type ? ", as JSON" : "") : type === "enum" ? "one of these" : type;
  const node = make("div", {class: "field"},
    make("label", {for: id}, name, " ", make("span", {class: "type"}, `${shown}${needed ? "" : ", optional"}`)),
    input, make("p", {class: "hint", id: `${id}-hint`}, hint), wrong);
  const parse = () => {
    const text = input.value;
    if (type === "string") return text === "" && !needed ? undefined : text;
    if (text.trim() === "") {
      if (needed) throw new Error("it has to be given");
      return undefined;
    }
    if (type === "integer" || type === "number") {
      if (!Number.isFinite(Number(text))) throw new Error("it is no number");
      return Number(text);
    }
    return parseJson(text);
  };
  return {name, node, input, read: () => {
    say(wrong, "");
    input.removeAttribute("aria-invalid");
    try {
      return parse();
    } catch (error) {
      say(wrong, `${name}: ${error.message}`);
      input.setAttribute("aria-invalid", "true");
      input.focus();
      throw error;
    }
  }};
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("it is not JSON; a text needs quotes");
  }
}

const makeFields = (schema) => Object.entries(schema.properties).map(([name, property], i) =>
  makeField(name, property, (schema.required ?? []).includes(name), i));

function readFields(fields) {
  const params = {};
  for (const field of fields) {
    const value = field.read();
    if (value !== undefined) params[field.name] = value;
  }
  return params;
}
