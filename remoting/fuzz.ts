/**
 * `npm run fuzz -- [--frames 1000000] [--seed N] [--decoder NAME] [--first N]`
 *
 * Feeds random and mutated input to every decoder. Prints a line for each; exit 1 names seed and frame of the first failure,
 * which `--seed`, `--decoder`, `--first` and `--frames 1` repeat.
 */
import { parseArgs } from 'node:util'
import { ExitCode } from '../common/errors.ts'
import { FUZZ_DECODERS } from './fuzz-decoders.ts'
import { fuzz } from './fuzzer.ts'
import type { FuzzFailure } from './fuzzer.ts'

const SHOWN_BYTES = 256
const MEBIBYTE = 1024 * 1024

const monotonic = (): number => performance.now()
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function main(): Promise<ExitCode> {
  const { values } = parseArgs({
    options: {
      frames: { type: 'string', default: '1000000' },
      first: { type: 'string', default: '0' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
      decoder: { type: 'string' },
    },
  })
  const [frames, first, seed] = [values.frames, values.first, values.seed].map(Number)
  const wanted = FUZZ_DECODERS.filter(({ name }) => [undefined, name].includes(values.decoder))
  if (frames === undefined || first === undefined || seed === undefined || wanted.length === 0) {
    return usage()
  }
  if (![frames, first, seed].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    return usage()
  }
  console.log(`seed ${seed}, ${frames} frames for each decoder`)
  for (const decoder of wanted) {
    const startedAt = performance.now()
    const result = await fuzz(decoder, { seed, first, frames, monotonic, pause })
    const seconds = (performance.now() - startedAt) / 1_000
    const memory = Math.round(process.memoryUsage().rss / MEBIBYTE)
    const counts = `${result.accepted} accepted, ${result.rejected} rejected`
    const slowest = `slowest ${result.slowestMs.toFixed(1)} ms`
    console.log(
      `${decoder.name}: ${result.frames} frames in ${seconds.toFixed(1)} s, ${counts}, ${slowest}, rss ${memory} MiB`,
    )
    if (result.failure !== null) {
      report(decoder.name, seed, result.failure)
      return ExitCode.FAILED
    }
  }
  console.log('no crash, no hang')
  return ExitCode.DONE
}

function usage(): ExitCode {
  const names = FUZZ_DECODERS.map(({ name }) => name).join(' | ')
  console.error(`usage: npm run fuzz -- [--frames N] [--seed N] [--first N] [--decoder ${names}]`)
  return ExitCode.USAGE
}

function report(name: string, seed: number, { frame, bytes, error }: FuzzFailure): void {
  console.error(`FAILED ${name}, seed ${seed}, frame ${frame} (${bytes.length} bytes)`)
  console.error(error)
  console.error(bytes.toString('hex', 0, SHOWN_BYTES))
  console.error(
    `again: npm run fuzz -- --seed ${seed} --decoder ${name} --first ${frame} --frames 1`,
  )
}

process.exitCode = await main()
