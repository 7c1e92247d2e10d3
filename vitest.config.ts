import { defineConfig } from 'vitest/config'
import type { ViteUserConfigExport } from 'vitest/config'

if (Number(process.versions.node.split('.')[0]) < 26) {
  throw new Error(
    'Gantry needs Node 26: start its tools by `npm run` or `npx`, which use the locked one.',
  )
}

const exclude = ['**/node_modules/**', 'e2e/clients/**']

const config: ViteUserConfigExport = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...exclude, 'e2e/**', '**/*.integration.test.ts'],
          // For machines that are busy with something else; no test asserts a time.
          testTimeout: 30_000,
          benchmark: { include: ['**/*.bench.ts'] },
        },
      },
      {
        test: {
          // Real processes, sockets and disks on loopback; one file at a time, since they share the machine.
          name: 'integration',
          include: ['**/*.integration.test.ts'],
          exclude: [...exclude, 'e2e/**'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude,
          // Files mostly wait, for rebalances and rolls: a machine can run several. Not those that need the operator, or the disk, for themselves.
          maxWorkers: Number(process.env['GANTRY_E2E_WORKERS'] ?? 1),
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})

export default config
