/** A topic with 1,000 SQL92 subscriptions: each message is looked at by all of them (budget: 1 us for each). */
import process from 'node:process'
import { test } from 'vitest'
import { encodeProperties } from '../../common/properties.ts'
import { PropertyPairs } from '../../common/property-pairs.ts'
import { sqlFilter } from './sql-filter.ts'

const SUBSCRIPTIONS = 1000
const MESSAGES = 3000

// What a Java producer and the broker write, and three properties of the application.
const PROPERTIES = encodeProperties([
  ['KEYS', 'OrderID188'],
  ['region', 'eu-west'],
  ['UNIQ_KEY', '7F0000010B5C18B4AAC2123456780000'],
  ['WAIT', 'true'],
  ['TAGS', 'TagA'],
  ['amount', '417'],
  ['priority', '3'],
  ['MSG_REGION', 'DefaultRegion'],
  ['TRACE_ON', 'true'],
  ['CLUSTER', 'DefaultCluster'],
  ['__CRC32#', '1234567890'],
])

test('1,000 subscriptions', async ({ bench }) => {
  const filters = Array.from({ length: SUBSCRIPTIONS }, (_, index) =>
    sqlFilter(
      `(region = 'eu-${index}' OR region IN ('eu-west', 'us-${index}')) AND amount BETWEEN ${index} AND ${2 * index} AND priority <> 5`,
    ),
  )
  const pairs = new PropertyPairs()
  let matches = 0
  const look = () => {
    pairs.scan(PROPERTIES, 0, PROPERTIES.length)
    for (const { matchesProperties } of filters) {
      if (matchesProperties?.(pairs) === true) matches++
    }
  }
  await bench(`${SUBSCRIPTIONS} filters look at a message`, look).run()
  if (matches === 0) throw new Error('no filter has matched')
  // CPU time: a busy machine makes the figure above worse, and not this one.
  const before = process.cpuUsage()
  for (let message = 0; message < MESSAGES; message++) look()
  const { user, system } = process.cpuUsage(before)
  const perSecond = (MESSAGES * SUBSCRIPTIONS) / ((user + system) / 1e6)
  process.stdout.write(`${(perSecond / 1e6).toFixed(2)} million evaluations per CPU second\n`)
})
