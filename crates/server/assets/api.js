// A page to try the API, made from its own description.

import { byId, make } from "/assets/dom.js";

const headers = () => (byId("key").value ? { Authorization: `Bearer ${byId("key").value}` } : {});

/** The form's fields of an operation: [name, place, schema, required, description]. */
function fieldsOf(operation) {
  const parameters = (operation.parameters ?? []).map((p) => [p.name, p.in, p.schema, p.required, p.description]);
  const schema = operation.requestBody?.content["multipart/form-data"]?.schema;
  const body = Object.entries(schema?.properties ?? {}).map(([name, inner]) => [name, "body", inner, schema.required?.includes(name), inner.description ?? present(inner).description]);
  return [...parameters, ...body];
}

/** The schema of a value that may also be null. */
const present = (schema) => schema.oneOf?.find((one) => one.type !== "null") ?? schema;

function input([name, place, nullable, required, description]) {
  const schema = present(nullable);
  const inner = schema.type === "array" ? schema.items : schema;
  const many = schema.type === "array";
  const file = inner.format === "binary";
  const control = inner.enum
    ? make("select", {}, ...inner.enum.map((value) => make("option", { value, text: value })))
    : make("input", { type: file ? "file" : "text", multiple: file && many, placeholder: schema.example ?? (schema.default !== undefined ? String(schema.default) : "") });
  Object.assign(control, { name, required: Boolean(required) });
  control.dataset.place = place;
  if (name === "collection") control.value = byId("operations").dataset.collection ?? "";
  const note = [description, many && !file ? "Several are separated by commas." : ""].filter(Boolean).join(". ");
  return make("label", {}, `${name}${required ? "" : " (optional)"}`, control, note ? make("small", { text: note }) : null);
}

function request(path, method, form) {
  const query = new URLSearchParams();
  const body = new FormData();
  let address = path;
  for (const control of form.elements) {
    if (!control.name) continue;
    const { place } = control.dataset;
    if (control.type === "file") [...control.files].forEach((file) => body.append(control.name, file));
    else if (control.value) {
      if (place === "path") address = address.replace(`{${control.name}}`, encodeURIComponent(control.value));
      else if (place === "query") query.set(control.name, control.value);
      else if (["id", "not_id", "label"].includes(control.name)) control.value.split(",").forEach((part) => body.append(control.name, part.trim()));
      else body.append(control.name, control.value);
    }
  }
  if ([...query].length) address += `?${query}`;
  return { address, options: { method, headers: headers(), body: method === "POST" ? body : undefined }, body };
}

/** The same request as a command line. */
function curl({ address, options, body }) {
  const parts = ["curl", options.method === "GET" ? "" : `-X ${options.method}`, byId("key").value ? "-H 'Authorization: Bearer KEY'" : ""];
  for (const [name, value] of body) parts.push(value instanceof File ? `-F ${name}=@${value.name}` : `-F '${name}=${value}'`);
  return [...parts, `'${location.origin}${address}'`].filter(Boolean).join(" ");
}

function operation(path, method, described) {
  const answer = make("div", { class: "answer", role: "status", hidden: true });
  const command = make("p", { class: "curl", hidden: true });
  const form = make("form", {}, ...fieldsOf(described).map(input), make("div", { class: "row" }, make("button", { class: "primary", type: "submit", text: "Send" })));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = request(path, method.toUpperCase(), form);
    command.textContent = curl(sent);
    answer.hidden = command.hidden = false;
    answer.textContent = "…";
    try {
      const response = await fetch(sent.address, sent.options);
      const kind = response.headers.get("content-type") ?? "";
      if (kind.startsWith("image/")) answer.replaceChildren(make("img", { src: URL.createObjectURL(await response.blob()), alt: "The answer" }));
      else {
        const text = await response.text();
        const shown = kind.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
        answer.textContent = `${response.status}\n${shown.slice(0, 20000)}`;
      }
    } catch (error) {
      answer.textContent = error.message;
    }
  });
  return make("details", { class: "operation" },
    make("summary", {}, make("b", { class: `method ${method}`, text: method.toUpperCase() }), make("code", { text: path }), make("span", { text: described.summary })),
    form, command, answer);
}

async function paint() {
  const description = await (await fetch("/openapi.json")).json();
  byId("about").textContent = description.info.description;
  const listed = await fetch("/v1/collections", { headers: headers() }).then((r) => (r.ok ? r.json() : null)).catch(() => null);
  if (listed?.collections[0]) byId("operations").dataset.collection = listed.collections[0].name;
  const all = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, described]) => [path, method, described]));
  byId("operations").replaceChildren(...description.tags.flatMap(({ name }) => [
    make("h2", { text: name }),
    ...all.filter(([, , described]) => described.tags.includes(name)).map((each) => operation(...each)),
  ]));
}

byId("key-form").addEventListener("submit", (event) => { event.preventDefault(); paint(); });
paint();
