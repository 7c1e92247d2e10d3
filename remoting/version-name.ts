/** What the ordinal of a client's version is called (Java's MQVersion). */

/** The ordinal of 4.0.0. From there each minor version has ten patch versions, each with a snapshot before it. */
const ORDINAL_OF_4_0_0 = 213
const STEPS_PER_MINOR = 20

/** `V5_5_0`; older ones than 4.0.0 are their number. */
export function versionName(ordinal: number | null): string {
  if (ordinal === null) return 'UNKNOWN'
  const isSnapshot = (ordinal - ORDINAL_OF_4_0_0) % 2 !== 0
  const steps = ordinal - ORDINAL_OF_4_0_0 + (isSnapshot ? 1 : 0)
  if (steps < 0) return String(ordinal)
  const minor = Math.floor(steps / STEPS_PER_MINOR)
  const patch = (steps % STEPS_PER_MINOR) / 2
  const name = `V${4 + Math.floor(minor / 10)}_${minor % 10}_${patch}`
  return isSnapshot ? `${name}_SNAPSHOT` : name
}
