/** Medians, and how far the pairs of a comparison lie apart. */
import type { PairResult } from './results.ts'

export interface Compared {
  readonly gantry: number | null
  readonly java: number | null
  /** Gantry's median by Java's (or the reverse where less is better): how many times better Gantry is. */
  readonly ratio: number | null
  /** The smallest and the greatest ratio within one pair. */
  readonly spread: readonly [number, number] | null
}

/** Null for no values. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle]
  if (upper === undefined) return null
  const lower = sorted[middle - 1]
  return sorted.length % 2 === 1 || lower === undefined ? upper : (lower + upper) / 2
}

/** One figure over all pairs; pairs in which a side has none count for the other side's median alone. */
export function compare(
  pairs: readonly PairResult[],
  figure: string,
  better: 'more' | 'less',
): Compared {
  const of = (side: 'gantry' | 'java'): readonly number[] =>
    pairs.flatMap((pair) => pair[side].figures[figure] ?? [])
  const gantry = median(of('gantry'))
  const java = median(of('java'))
  const ratios = pairs.flatMap((pair) => {
    const ratio = ratioOf(pair.gantry.figures[figure], pair.java.figures[figure], better)
    return ratio === null ? [] : [ratio]
  })
  return {
    gantry,
    java,
    ratio: ratioOf(gantry, java, better),
    spread: ratios.length === 0 ? null : [Math.min(...ratios), Math.max(...ratios)],
  }
}

function ratioOf(
  gantry: number | null | undefined,
  java: number | null | undefined,
  better: 'more' | 'less',
): number | null {
  if (gantry === null || gantry === undefined || java === null || java === undefined) return null
  const [upper, lower] = better === 'more' ? [gantry, java] : [java, gantry]
  return lower === 0 ? null : upper / lower
}
