/** docs/configuration.md is written from the schemas: `npx vitest run --project unit test/configuration -u` writes it anew. */
import { expect, test } from 'vitest'
import { BROKER_SCHEMA } from '../broker/config.ts'
import type { ConfigSchema } from '../common/config.ts'
import { DASHBOARD_SCHEMA } from '../dashboard/config.ts'
import { NAMESRV_SCHEMA } from '../namesrv/config.ts'

test('the reference of configuration keys says what the schemas say', async () => {
  const page = `# Configuration keys

Names, units and meanings are RocketMQ's. A *live* key takes effect without a restart. Keys that RocketMQ knows and Gantry does not need
are listed once at start as ignored; any other key is a warning with the nearest name. Ignored are, among others, the keys
about the sizes of Java's thread pools and about how long a request may wait in their queues (\`waitTimeMillsInSendQueue\` and its like):
there are none, and a send is refused at once when \`sendThreadPoolQueueCapacity\` others wait.

## Broker

${table(BROKER_SCHEMA)}
## Name server

${table(NAMESRV_SCHEMA)}
## Console

The keys are Gantry's own.

${table(DASHBOARD_SCHEMA)}`

  await expect(page).toMatchFileSnapshot('../docs/configuration.md')
})

function table(schema: ConfigSchema): string {
  let rows = '| key | default | unit | bounds | live | meaning |\n|---|---|---|---|---|---|\n'
  for (const [name, key] of Object.entries(schema)) {
    const cells = [
      `\`${name}\``,
      key.default === '' ? '' : `\`${String(key.default)}\``,
      key.unit ?? '',
      key.choices?.join(', ') ?? boundsOf(key.min, key.max),
      key.live === true ? 'yes' : '',
      key.description,
    ]
    rows += `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  }
  return rows
}

function boundsOf(min: number | undefined, max: number | undefined): string {
  if (min === undefined && max === undefined) return ''
  return `${min ?? ''} … ${max ?? ''}`
}
