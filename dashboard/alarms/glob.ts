/** Patterns of names: `*` stands for any characters, `?` for one. */

/** In time that grows with the product of the lengths at most. */
export function matchesGlob(pattern: string, name: string): boolean {
  let at = 0
  let inPattern = 0
  /** Where the last `*` stands, and where in the name it was met; -1: none yet. */
  let star = -1
  let met = 0
  while (at < name.length) {
    const wanted = pattern[inPattern]
    if (wanted === '*') {
      star = inPattern++
      met = at
    } else if (wanted !== undefined && (wanted === '?' || wanted === name[at])) {
      inPattern++
      at++
    } else if (star >= 0) {
      // The last `*` takes one character more.
      inPattern = star + 1
      at = ++met
    } else return false
  }
  while (pattern[inPattern] === '*') inPattern++
  return inPattern === pattern.length
}
