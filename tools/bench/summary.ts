/** A result as lines for people. */
import type { LatencySummary } from './histogram.ts'
import type { BenchResult } from './scenario.ts'

const MIB = 1024 * 1024

export function formatSummary(result: BenchResult): string {
  const { usage, send, consume } = result
  const lines = [
    `${result.scenario} ${result.topic}: ${result.messages} messages in ${result.seconds.toFixed(1)} s = ` +
      `${result.messagesPerSecond} msg/s, ${result.megabytesPerSecond} MB/s`,
  ]
  if (send !== null) {
    lines.push(`  send latency    ${latencyText(send.latencyMs)}`)
    if (send.lagMs !== null) lines.push(`  generator lag   ${latencyText(send.lagMs)}`)
    lines.push(`  send answers    ${codesText(send.codes)}, unanswered ${send.unanswered}`)
  }
  if (result.endToEndMs !== null) {
    lines.push(`  send to receive ${latencyText(result.endToEndMs)}`)
  }
  if (consume !== null) {
    lines.push(
      `  consumed        ${consume.messages} in ${consume.pulls} pulls (${codesText(consume.codes)}): ` +
        `corrupt ${consume.corrupt}, duplicates ${consume.duplicates}, gaps ${consume.gaps}, foreign ${consume.foreign}`,
    )
  }
  if (usage.server !== null) {
    const { cpuSeconds, cpuSecondsPerMillion, cores, processes } = usage.server
    const rss = processes.map((one) => `${one.pid}: ${Math.round(one.rssBytes / MIB)} MiB`)
    lines.push(
      `  server          ${cpuSeconds} CPU s (${cores} cores), ${cpuSecondsPerMillion ?? '-'} per million messages; RSS ${rss.join(', ')}`,
    )
  }
  const perMillion =
    result.messages === 0 ? '-' : ((usage.generatorCpuSeconds / result.messages) * 1e6).toFixed(2)
  lines.push(
    `  generator       ${usage.generatorCpuSeconds} CPU s, ${perMillion} per million messages` +
      (usage.otherCores === null ? '' : `; rest of the machine ${usage.otherCores} cores`),
  )
  for (const [name, value] of Object.entries(result.details)) {
    if (typeof value === 'number') lines.push(`  ${name} ${value}`)
  }
  for (const problem of result.problems) lines.push(`  PROBLEM: ${problem}`)
  return `${lines.join('\n')}\n`
}

function latencyText({ mean, p50, p90, p99, p999, max }: LatencySummary): string {
  return `p50 ${p50} ms, p90 ${p90}, p99 ${p99}, p99.9 ${p999}, max ${max}, mean ${mean}`
}

function codesText(codes: Readonly<Record<string, number>>): string {
  const entries = Object.entries(codes)
  if (entries.length === 0) return 'no answers'
  return entries.map(([code, count]) => `code ${code}: ${count}`).join(', ')
}
