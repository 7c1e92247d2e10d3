/** Pictures of pages with a palette of 256 colours: a third of what a browser makes of them, and nobody sees the difference. */
import { strict as assert } from 'node:assert'
import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const COLOURS = 256

/** `png` has 8 bits for each of red, green, blue and perhaps an opaque alpha, as Chromium writes it. */
export function smallPng(png: Buffer): Buffer {
  const chunks = chunksOf(png)
  const header = chunks.find(({ type }) => type === 'IHDR')?.data ?? Buffer.alloc(0)
  const width = header.readUInt32BE(0)
  const height = header.readUInt32BE(4)
  assert([2, 6].includes(header.readUInt8(9)))
  assert.equal(header.readUInt8(8), 8)
  const bytes = header.readUInt8(9) === 2 ? 3 : 4
  const parts = chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)
  const pixels = unfiltered(inflateSync(Buffer.concat(parts)), { width, height, bytes })
  const { palette, indexes } = paletteOf(pixels, bytes)

  const rows = Buffer.alloc((width + 1) * height)
  for (let row = 0; row < height; row++) {
    indexes.copy(rows, row * (width + 1) + 1, row * width, (row + 1) * width)
  }
  const indexed = Buffer.from(header)
  indexed.writeUInt8(3, 9)
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', indexed),
    chunk('PLTE', palette),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunksOf(png: Buffer): readonly { readonly type: string; readonly data: Buffer }[] {
  const chunks: { readonly type: string; readonly data: Buffer }[] = []
  for (let at = SIGNATURE.length; at < png.length;) {
    const size = png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    chunks.push({ type, data: png.subarray(at + 8, at + 8 + size) })
    at += size + 12
  }
  return chunks
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}

/** Takes the filters of the lines back (PNG §9.2). */
function unfiltered(
  lines: Buffer,
  {
    width,
    height,
    bytes,
  }: { readonly width: number; readonly height: number; readonly bytes: number },
): Buffer {
  const stride = width * bytes
  const pixels = Buffer.alloc(stride * height)
  for (let row = 0; row < height; row++) {
    const filter = lines[row * (stride + 1)] ?? 0
    for (let at = 0; at < stride; at++) {
      const here = row * stride + at
      const left = at < bytes ? 0 : (pixels[here - bytes] ?? 0)
      const above = row === 0 ? 0 : (pixels[here - stride] ?? 0)
      const corner = at < bytes || row === 0 ? 0 : (pixels[here - stride - bytes] ?? 0)
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter] ?? 0
      pixels[here] = (lines[row * (stride + 1) + 1 + at] ?? 0) + guess
    }
  }
  return pixels
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((value) => Math.abs(guess - value))
  if ((toLeft ?? 0) <= (toAbove ?? 0) && (toLeft ?? 0) <= (toCorner ?? 0)) return left
  return (toAbove ?? 0) <= (toCorner ?? 0) ? above : corner
}

/** The most frequent colours, and for each pixel the nearest of them. */
function paletteOf(
  pixels: Buffer,
  bytes: number,
): { readonly palette: Buffer; readonly indexes: Buffer } {
  const count = pixels.length / bytes
  const counts = new Map<number, number>()
  for (let at = 0; at < count; at++) {
    const colour = pixels.readUIntBE(at * bytes, 3)
    counts.set(colour, (counts.get(colour) ?? 0) + 1)
  }
  const chosen = [...counts]
    .toSorted(([, left], [, right]) => right - left)
    .slice(0, COLOURS)
    .map(([colour]) => colour)
  const indexOf = new Map([...counts.keys()].map((colour) => [colour, nearest(chosen, colour)]))
  const indexes = Buffer.alloc(count)
  for (let at = 0; at < count; at++) {
    indexes[at] = indexOf.get(pixels.readUIntBE(at * bytes, 3)) ?? 0
  }
  const palette = Buffer.alloc(chosen.length * 3)
  for (const [at, colour] of chosen.entries()) palette.writeUIntBE(colour, at * 3, 3)
  return { palette, indexes }
}

function nearest(chosen: readonly number[], colour: number): number {
  let best = 0
  let least = Number.MAX_SAFE_INTEGER
  for (const [index, other] of chosen.entries()) {
    const distance = [16, 8, 0]
      .map((shift) => ((other >> shift) & 255) - ((colour >> shift) & 255))
      .reduce((sum, difference) => sum + difference * difference, 0)
    if (distance < least) [best, least] = [index, distance]
  }
  return best
}
