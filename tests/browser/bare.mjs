// The scripts of the console without a browser: as much of a document as they want, and a server that is a function.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

export class Element {
  constructor(name = "") {
    Object.assign(this, { name, className: "", value: "", children: [], attributes: {}, listeners: {} });
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }

  click() {
    return this.listeners.click();
  }

  focus() {}

  remove() {}

  showModal() {}

  /** A dialog ends with a value. */
  close(value = "") {
    this.returnValue = value;
    this.listeners.close();
  }

  /** Elements by name; nothing else is found, as what failed before. */
  querySelectorAll(selector) {
    return /^\w+$/.test(selector) ? this.all(selector) : [];
  }

  get childElementCount() {
    return this.children.filter((child) => child instanceof Element).length;
  }

  get textContent() {
    return this.children.map((child) => child.textContent ?? child).join("");
  }

  /** All elements of a name in it, in order. */
  all(name) {
    return this.children.flatMap((child) => (child instanceof Element ? [...(child.name === name ? [child] : []), ...child.all(name)] : []));
  }
}

const create = (name) => new Element(name);
Object.assign(globalThis, {
  Node: Element,
  HTMLElement: Element,
  customElements: { define() {} },
  document: { body: new Element("body"), getElementById: () => null, createElement: create, createElementNS: (_, name) => create(name), querySelectorAll: () => [], hidden: false },
  sessionStorage: { getItem: () => null, setItem() {}, removeItem() {} },
  addEventListener() {},
});

// The folder says that these are modules, for releases of Node.js that do not look.
const folder = mkdtempSync(join(tmpdir(), "dbward-console-"));
after(() => rmSync(folder, { recursive: true }));
cpSync(fileURLToPath(new URL("../../src/web", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "package.json"), '{"type": "module"}');

/** A script of src/web. */
export function script(name) {
  return import(pathToFileURL(join(folder, name)));
}

/** Has `answer` give the body for the address of each call, and returns the addresses in order. */
export function served(answer) {
  const calls = [];
  globalThis.fetch = async (path) => {
    calls.push(path);
    const body = answer(new URL(path, "http://localhost"));
    return new Response(typeof body === "string" ? body : JSON.stringify(body));
  };
  return calls;
}
