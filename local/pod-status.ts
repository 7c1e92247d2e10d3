/** The status of a pod, as the kubelet would write it, from the state of its process. Pure. */
import { listAt, textAt, valueAt } from '../operator/json.ts'
import type { KubeObject } from '../operator/ports.ts'
import type { PodState } from './pod-process.ts'

export function podStatus(
  pod: KubeObject,
  state: PodState,
  podIp: string,
  now: string,
): Readonly<Record<string, unknown>> {
  const container = listAt(pod.spec, 'containers')[0]
  const isRunning = state.phase === 'running' || state.phase === 'stopping'
  const isReady = isRunning && state.isReady
  const former = listAt(pod.status, 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Ready',
  )
  const status = isReady ? 'True' : 'False'
  const isSame = textAt(former, 'status') === status
  const problem = oneLine(state.problem)
  return {
    phase: isRunning || state.restarts > 0 ? 'Running' : 'Pending',
    podIP: podIp,
    hostIP: podIp,
    startTime: textAt(pod.status, 'startTime') ?? now,
    conditions: [
      {
        type: 'Ready',
        status,
        lastTransitionTime: isSame ? (textAt(former, 'lastTransitionTime') ?? now) : now,
        ...(problem === '' ? {} : { message: problem }),
      },
    ],
    containerStatuses: [
      {
        name: textAt(container, 'name') ?? '',
        image: textAt(container, 'image') ?? '',
        ready: isReady,
        started: isReady,
        restartCount: state.restarts,
        state: containerState(pod, state, isRunning, now),
        ...(state.exitCode === null
          ? {}
          : { lastState: { terminated: { exitCode: state.exitCode, message: problem } } }),
      },
    ],
  }
}

function containerState(
  pod: KubeObject,
  state: PodState,
  isRunning: boolean,
  now: string,
): Readonly<Record<string, unknown>> {
  if (!isRunning) {
    const reason = state.restarts > 0 ? 'CrashLoopBackOff' : 'ContainerCreating'
    return { waiting: { reason, message: oneLine(state.problem) } }
  }
  const former = valueAt(pod.status, 'containerStatuses', 0, 'state', 'running', 'startedAt')
  return { running: { startedAt: former ?? now } }
}

/** Conditions, events and plans have one line each. */
function oneLine(problem: string): string {
  return problem.replaceAll(/\s*\n[\s|]*/g, ' | ')
}
