// Pictures for docs/: a screenshot with 256 colours, the most frequent ones and one of each kind, the others as the nearest
// of them; and how much of two pictures is alike.
import assert from "node:assert/strict";
import { crc32, deflateSync, inflateSync } from "node:zlib";

const COLOURS = 256;
/** The most frequent ones, which stay as they are: what is alike among the others is one. */
const EXACT = 32;
const kind = (value) => value & 0xf0f0f0;
const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

/** The chunks of a PNG by name, those of the same name together. */
function chunks(png) {
  const found = {};
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const name = png.toString("latin1", at + 4, at + 8);
    found[name] = Buffer.concat([found[name] || Buffer.alloc(0), png.subarray(at + 8, at + 8 + length)]);
    at += 12 + length;
  }
  return found;
}

/** The pixels of rows that each begin with the number of their filter. */
function unfiltered(data, width, height, size) {
  const line = width * size;
  const out = Buffer.alloc(line * height);
  for (let y = 0; y < height; y += 1) {
    const filter = data[y * (line + 1)];
    for (let x = 0; x < line; x += 1) {
      const at = y * line + x;
      const left = x >= size ? out[at - size] : 0;
      const up = y > 0 ? out[at - line] : 0;
      const corner = x >= size && y > 0 ? out[at - line - size] : 0;
      const near = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      const paeth = near[0] <= near[1] && near[0] <= near[2] ? left : near[1] <= near[2] ? up : corner;
      out[at] = data[y * (line + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth][filter];
    }
  }
  return out;
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** Width and height of squares that are compared as wholes, in pixels: text that moved by a hair is the same text. */
const SQUARE = 20;
/** By how much the means of two squares may differ, of 255. */
const ALIKE = 12;

/** Mean colours of the squares of a PNG of ours, or of a screenshot, row by row. */
function squares(png) {
  const { IHDR: head, IDAT: data, PLTE: table } = chunks(png);
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  const size = { 2: 3, 3: 1, 6: 4 }[head[9]];
  assert.ok(head[8] === 8 && size && head[12] === 0, "a picture of another kind");
  const pixels = unfiltered(inflateSync(data), width, height, size);
  const colour = table ? (at, channel) => table[pixels[at] * 3 + channel] : (at, channel) => pixels[at + channel];
  const [across, down] = [Math.floor(width / SQUARE), Math.floor(height / SQUARE)];
  const sums = new Float64Array(across * down * 3);
  for (let y = 0; y < down * SQUARE; y += 1) {
    for (let x = 0; x < across * SQUARE; x += 1) {
      const to = (Math.floor(y / SQUARE) * across + Math.floor(x / SQUARE)) * 3;
      for (let channel = 0; channel < 3; channel += 1) sums[to + channel] += colour((y * width + x) * size, channel);
    }
  }
  return { width, height, means: sums.map((sum) => sum / SQUARE ** 2) };
}

/** The share of what is drawn on two pictures that is alike; what has the colour of its surroundings in both is not counted. */
export function alike(one, other) {
  const [a, b] = [squares(one), squares(other)];
  if (a.width !== b.width || a.height !== b.height) return 0;
  const across = Math.floor(a.width / SQUARE);
  const differ = (left, i, right, j) => [0, 1, 2].some((channel) => Math.abs(left.means[i * 3 + channel] - right.means[j * 3 + channel]) > ALIKE);
  const isDrawn = (picture, i) => [i - 1, i - across].some((j) => j >= 0 && differ(picture, i, picture, j));
  const drawn = Array.from({ length: a.means.length / 3 }, (_, i) => i).filter((i) => isDrawn(a, i) || isDrawn(b, i));
  return drawn.length ? drawn.filter((i) => !differ(a, i, b, i)).length / drawn.length : 1;
}

/** A PNG of 8 bits a channel, made smaller. */
export function small(png) {
  const { IHDR: head, IDAT: data } = chunks(png);
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  assert.ok(head[8] === 8 && [2, 6].includes(head[9]) && head[12] === 0, "a picture of another kind");
  const size = head[9] === 6 ? 4 : 3;
  const pixels = unfiltered(inflateSync(data), width, height, size);
  const count = new Map();
  const colour = (at) => pixels.readUIntBE(at, 3);
  for (let at = 0; at < pixels.length; at += size) count.set(colour(at), (count.get(colour(at)) || 0) + 1);
  const all = [...count].sort((a, b) => b[1] - a[1]).map(([value]) => value);
  const kinds = new Set();
  const palette = all.filter((value, i) => i < EXACT || (!kinds.has(kind(value)) && kinds.add(kind(value)))).slice(0, COLOURS);
  const far = (a, b) => ((a >> 16) - (b >> 16)) ** 2 + (((a >> 8) & 255) - ((b >> 8) & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;
  const index = new Map(palette.map((value, i) => [value, i]));
  for (const value of count.keys()) {
    if (!index.has(value)) index.set(value, palette.reduce((best, one, i) => (far(one, value) < far(palette[best], value) ? i : best), 0));
  }
  const rows = Buffer.alloc((width + 1) * height);
  for (let i = 0; i < width * height; i += 1) rows[Math.floor(i / width) * (width + 1) + 1 + (i % width)] = index.get(colour(i * size));
  const header = Buffer.from(head);
  header[9] = 3;
  const table = Buffer.from(palette.flatMap((value) => [value >> 16, (value >> 8) & 255, value & 255]));
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("PLTE", table), chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}
