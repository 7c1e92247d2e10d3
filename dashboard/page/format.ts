/** Numbers, sizes and times as people read them. */
const INTEGER = new Intl.NumberFormat('en')
const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export const NOTHING = '–'

export function count(value: number | null): string {
  return value === null ? NOTHING : INTEGER.format(value)
}

/** Short for charts and cards: 12.3k. */
export function short(value: number | null): string {
  if (value === null) return NOTHING
  const absolute = Math.abs(value)
  if (absolute >= 1e9) return `${(value / 1e9).toFixed(1)}G`
  if (absolute >= 1e6) return `${(value / 1e6).toFixed(1)}M`
  if (absolute >= 1e4) return `${(value / 1e3).toFixed(1)}k`
  return absolute >= 100 || Number.isInteger(value)
    ? INTEGER.format(Math.round(value))
    : value.toFixed(1)
}

export function rate(value: number | null): string {
  if (value === null) return NOTHING
  return value > 0 && value < 10 ? value.toFixed(1) : INTEGER.format(Math.round(value))
}

export function size(bytes: number | null): string {
  if (bytes === null) return NOTHING
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZES[unit] ?? ''}`
}

export function percent(ratio: number | null): string {
  return ratio === null ? NOTHING : `${Math.round(ratio * 100)} %`
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`
}

export function age(at: number | null, now: number): string {
  return at === null ? NOTHING : duration(now - at)
}

/** In the reader's own time zone, always with the date. */
export function time(at: number | null): string {
  if (at === null) return NOTHING
  const date = new Date(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** For `<input type="datetime-local">`. */
export function localTime(at: number): string {
  return time(at).replace(' ', 'T')
}

export function permission(perm: number): string {
  const read = (perm & 4) !== 0
  const write = (perm & 2) !== 0
  if (read && write) return 'read, write'
  if (read) return 'read only'
  return write ? 'write only' : 'none'
}

export function plural(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}
