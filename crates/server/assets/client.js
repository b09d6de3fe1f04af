// Talking to the server: keys, errors, pictures behind keys.

const KEY = "kinsight-key";
const pictures = new Map();

/** A request that the server refused. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.hint ? `${error.message}\n${error.hint}` : error.message);
    this.status = status;
    this.code = error.code;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

function headers() {
  return key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
}

/** Sends a request and reads its JSON; throws `Refused`. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch {
    throw new Refused(0, { code: "unreachable", message: "The server does not answer." });
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const error = body.error ?? { code: "unknown", message: `The server answered ${response.status}.` };
  throw new Refused(response.status, error);
}

/** A form from [name, value] pairs; empty values are left out. */
export function form(pairs) {
  const data = new FormData();
  for (const [name, value] of pairs) {
    if (value === undefined || value === null || value === "") continue;
    if (value instanceof Blob) data.append(name, value, "picture");
    else data.append(name, value);
  }
  return data;
}

/** Shows the picture at `path` in `image`; with a key it is fetched, because an <img> cannot send one. */
export async function show(image, path) {
  image.dataset.path = path;
  if (!key.get()) {
    image.src = path;
    return;
  }
  if (!pictures.has(path)) {
    pictures.set(path, fetch(path, { headers: headers() })
      .then((response) => (response.ok ? response.blob() : Promise.reject(new Error("no picture"))))
      .then((blob) => URL.createObjectURL(blob)));
  }
  try {
    const url = await pictures.get(path);
    if (image.dataset.path === path) image.src = url;
  } catch {
    pictures.delete(path);
  }
}

export const collectionPath = (name) => `/v1/collections/${encodeURIComponent(name)}`;
