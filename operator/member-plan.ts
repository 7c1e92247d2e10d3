/**
 * The members of a broker group: which one restarts next, and how a group gets more or fewer of them. Never are two of its pods away by our hand,
 * and none goes unless the others have the log. Pure.
 */
import { act, goTo, isBroken, notReadyMessage, stay } from './group-outcome.ts'
import type { GroupOutcome, GroupView } from './group-outcome.ts'
import { majorityOf, successorOf } from './members.ts'
import { differs, restartNeed } from './restart-need.ts'
import type { RestartNeed } from './restart-need.ts'
import type { PodFacts } from './snapshot.ts'

/** A pod that was replaced this lately is watched before the next one goes. */
const SETTLED_POD_MS = 10_000
/** A mounted filesystem that has not grown by then grows with a restart. */
const ONLINE_RESIZE_MS = 120_000

/** With one voter, or none that is known in a group of one, clients are led away instead of a hand-over. */
export function isReplicated({ members }: GroupView): boolean {
  return members.voters.length > 1 || (members.size > 1 && members.leader === null)
}

/** Brings the number of members to that of the spec; null when there is nothing to do, or not now. */
export function resizing(view: GroupView): GroupOutcome | null {
  const { members, cluster, claims, name } = view
  const { replicasPerGroup, storage } = cluster.spec.broker
  const { size, configuration, pods, isFounded } = members
  const leaving = configuration.filter(({ id }) => id >= Math.min(size, replicasPerGroup))
  if (leaving.length > 0) {
    return removing(
      view,
      leaving.map(({ id }) => id),
    )
  }
  if (size > replicasPerGroup) {
    // Without a leader nobody knows who still counts.
    return members.leader === null ? null : goTo(view, 'serve', { size: replicasPerGroup })
  }
  const gone = pods.find(({ ordinal }) => ordinal >= size)
  if (gone !== undefined) return stay(view, notReadyMessage({ ...gone, isTerminating: true }))
  const known = configuration.map(({ id }) => id)
  const left = claims.filter(({ ordinal }) => ordinal >= size && !known.includes(ordinal))
  const [first] = left
  if (first !== undefined && storage.retention.whenScaled === 'Delete' && members.leader !== null) {
    return act(view, { type: 'deleteClaim', claim: first.name, uid: first.uid, pod: null })
  }
  if (size === replicasPerGroup || !isFounded) return null
  // A disk of the past would neither be taken in nor be empty.
  const stale = left.find(({ ordinal }) => ordinal < replicasPerGroup)
  if (stale !== undefined) {
    const pod = `${name}-${stale.ordinal}`
    return stay(
      view,
      `${pod} cannot join with ${stale.name}, a volume of before: delete that claim`,
    )
  }
  return goTo(view, 'serve', { size: replicasPerGroup })
}

/** One member at a time leaves, the highest first; a leader that is to leave hands over before. */
function removing(view: GroupView, leaving: readonly number[]): GroupOutcome {
  const { members, name } = view
  const { leader, voters, inSync } = members
  if (leader === null || leader.endpoint === null) return stay(view, leaderless(view))
  if (leaving.includes(leader.ordinal)) {
    const to = successorOf(members, (id) => !leaving.includes(id))
    if (to === null) {
      return stay(view, `${leader.name} leads and is to leave, but no other member has caught up`)
    }
    return act(view, { type: 'transferLeadership', from: leader.endpoint, to })
  }
  const target = Math.max(...leaving)
  const rest = voters.filter((id) => id !== target)
  const able = rest.filter((id) => inSync.includes(id))
  if (voters.includes(target) && able.length < majorityOf(rest.length)) {
    const behind = rest.filter((id) => !inSync.includes(id)).map((id) => `${name}-${id}`)
    return stay(view, `${name}-${target} leaves once ${behind.join(', ')} caught up`)
  }
  return act(view, { type: 'removeMember', leader: leader.endpoint, name, id: target })
}

/** Picks the next pod to restart; null when none has to. */
export function restarting(view: GroupView): GroupOutcome | null {
  const { members, wanted, rollHold } = view
  const pods = members.pods.filter(({ ordinal }) => ordinal < members.size)
  // What does not run harms nobody by being replaced, and may be what blocks a bad rollout.
  const broken = pods.find((pod) => isBroken(view, pod) && differs(pod, wanted))
  if (broken !== undefined) return replace(view, broken)
  const needs = pods
    .filter(({ isReady }) => isReady)
    .map((pod) => ({ pod, need: needOf(view, pod) }))
  const unknown = needs.find(({ need }) => need.type === 'unknown')
  if (unknown !== undefined) return stay(view, `the live keys of ${unknown.pod.name} are not known`)
  const stale = needs.flatMap(({ pod, need }) => (need.type === 'needed' ? [{ pod, need }] : []))
  const isLeader = (pod: PodFacts): boolean => pod.uid === members.leader?.uid
  const next = stale.findLast(({ pod }) => !isLeader(pod)) ?? stale[0]
  if (next === undefined) return null
  const { pod, need } = next
  const hold = rollHold ?? holdOf(view, pod)
  if (hold !== null) return stay(view, `restart of ${pod.name} (${need.reason}) waits: ${hold}`)
  const changes = { podUid: pod.uid, member: pod.ordinal, startedAt: view.now }
  return goTo(view, isLeader(pod) ? 'memberTransfer' : 'memberReplace', changes)
}

/** Why the pod may not be taken away now, or null: all others are there, have the log, and are a majority without it. */
function holdOf({ members, name, now }: GroupView, target: PodFacts): string | null {
  const { leader, pods, size, voters, inSync } = members
  if (leader === null) return `${name} has no leader`
  for (let ordinal = 0; ordinal < size; ordinal += 1) {
    if (ordinal === target.ordinal) continue
    const pod = pods.find((other) => other.ordinal === ordinal)
    if (pod === undefined) return `${name}-${ordinal} is missing`
    if (!pod.isReady) return notReadyMessage(pod)
    if (now - pod.createdAt < SETTLED_POD_MS) return `${pod.name} has just started`
  }
  const others = voters.filter((id) => id !== target.ordinal)
  const behind = others.find((id) => !inSync.includes(id))
  if (behind !== undefined) return `${name}-${behind} has not caught up`
  if (others.length < majorityOf(voters.length)) {
    return `${name} has ${voters.length} voting members and needs them all`
  }
  return null
}

/** A leader gives up its place to a member that has caught up, if possible one that need not restart itself. */
export function handingOver(view: GroupView): GroupOutcome {
  const { members, progress, wanted, cluster, now } = view
  const { leader, pods } = members
  const target = pods.find(({ uid }) => uid === progress.podUid)
  if (target === undefined || target.isTerminating || !isReplicated(view))
    return goTo(view, 'serve')
  if (leader === null || leader.endpoint === null) return stay(view, leaderless(view))
  if (leader.uid !== target.uid) {
    return goTo(view, 'memberReplace', { podUid: target.uid, member: target.ordinal })
  }
  if (needOf(view, target).type === 'none') return goTo(view, 'serve')
  const deadline = progress.since + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
  const hold = view.rollHold ?? holdOf(view, target)
  if (hold !== null) {
    return {
      ...stay(view, `${leader.name} hands over before its restart, and waits: ${hold}`, deadline),
      isStalled: now >= deadline,
    }
  }
  const isNew = (id: number): boolean =>
    pods.some((pod) => pod.ordinal === id && pod.revision === wanted.revision)
  const to = successorOf(members, isNew) ?? successorOf(members, () => true)
  if (to === null) return stay(view, `no member can take over from ${leader.name}`)
  return act(view, { type: 'transferLeadership', from: leader.endpoint, to })
}

/** Takes one pod away and waits until its successor runs and has the log. */
export function replacingMember(view: GroupView): GroupOutcome {
  const { members, progress, wanted, now, cluster, name } = view
  const limitMs = cluster.spec.broker.rollout.podTimeoutSeconds * 1000
  const ordinal = progress.member ?? 0
  const pod = members.pods.find((one) => one.ordinal === ordinal)
  if (ordinal >= members.size) return goTo(view, 'serve')
  const deadline = Math.max(progress.since, pod?.createdAt ?? 0) + limitMs
  const late = (message: string): GroupOutcome => ({
    ...stay(view, message, deadline),
    isStalled: now >= deadline,
  })
  if (pod === undefined || pod.isTerminating) return late(`${name}-${ordinal} restarts`)
  if (pod.uid === progress.podUid) return evicting(view, pod) ?? goTo(view, 'serve')
  if (!pod.isReady) {
    // The wish has changed since, and what was started does not come up: try the new wish.
    if (isBroken(view, pod) && differs(pod, wanted)) return replace(view, pod)
    return late(notReadyMessage(pod))
  }
  if (members.leader === null) return late(leaderless(view))
  if (isReplicated(view) && !members.inSync.includes(ordinal)) return late(behindMessage(view, pod))
  return goTo(view, 'serve')
}

/** Null: the pod is as wanted after all. */
function evicting(view: GroupView, pod: PodFacts): GroupOutcome | null {
  const { members, wanted, name } = view
  if (!pod.isReady) {
    if (!differs(pod, wanted) || !isBroken(view, pod)) return null
    // It may still be one of those that make the majority.
    const able = members.inSync.filter((id) => id !== pod.ordinal).length
    const isNeeded = members.leader !== null && able < majorityOf(members.voters.length)
    const isRunning = pod.problem === null && pod.unscheduled === null
    if (isRunning && isNeeded)
      return stay(view, `${pod.name} is needed until others have caught up`)
    return act(view, { type: 'evict', pod: pod.name, uid: pod.uid, reason: 'not ready' })
  }
  const need = needOf(view, pod)
  if (need.type === 'none') return null
  if (need.type === 'unknown') return stay(view, `the live keys of ${pod.name} are not known`)
  // It has been elected since it was chosen: others go first.
  if (pod.uid === members.leader?.uid) return null
  const hold = view.rollHold ?? holdOf(view, pod)
  if (hold !== null) return stay(view, `restart of ${pod.name} (${need.reason}) waits: ${hold}`)
  return act(view, {
    type: 'evict',
    pod: pod.name,
    uid: pod.uid,
    reason: `${need.reason}, member ${pod.ordinal} of ${name}`,
  })
}

/** What a group that serves still waits for; empty when for nothing. */
export function memberMessage(view: GroupView): string {
  const { members, name, cluster } = view
  const { size, pods, leader, voters, roles } = members
  const wanted = cluster.spec.broker.replicasPerGroup
  if (leader === null) return leaderless(view)
  for (let ordinal = 0; ordinal < size; ordinal += 1) {
    const pod = pods.find((one) => one.ordinal === ordinal)
    if (pod === undefined) return `${name}-${ordinal} is missing`
    if (pod.problem === null && roles.get(ordinal) === 'joining') {
      return `${pod.name} waits to be taken in as a member`
    }
    if (!pod.isReady && pod.problem !== null) return notReadyMessage(pod)
    if (!voters.includes(ordinal) || !members.inSync.includes(ordinal)) {
      return pod.isReady || roles.has(ordinal) ? behindMessage(view, pod) : notReadyMessage(pod)
    }
  }
  return size === wanted ? '' : `${name} gets ${wanted} members`
}

export function leaderless({ members, name }: GroupView): string {
  const ready = members.pods.filter(({ isReady }) => isReady).length
  return `${name} has no leader: ${ready} of ${members.size} members are ready`
}

/** Whether, and why, a pod restarts: for what differs, or for a filesystem that has to grow. */
export function needOf(view: GroupView, pod: PodFacts): RestartNeed {
  const config = view.brokers.get(pod.name)?.config ?? null
  const need = restartNeed(pod, view.wanted, config)
  if (need.type !== 'none') return need
  const since = view.claims.find(({ ordinal }) => ordinal === pod.ordinal)?.resizePendingSince
  if (since === undefined || since === null) return need
  const isDue = view.now >= since + ONLINE_RESIZE_MS && pod.createdAt < since + ONLINE_RESIZE_MS
  return isDue ? { type: 'needed', reason: 'volume' } : need
}

function behindMessage({ members }: GroupView, pod: PodFacts): string {
  const lag = members.lags.get(pod.ordinal)
  const how = lag === undefined ? 'does not answer the leader' : `is ${lag} bytes behind`
  return members.voters.includes(pod.ordinal)
    ? `${pod.name} ${how}`
    : `${pod.name} copies the log before it counts, and ${how}`
}

function replace(view: GroupView, pod: PodFacts): GroupOutcome {
  const changes = { podUid: pod.uid, member: pod.ordinal, startedAt: view.now }
  return goTo(view, 'memberReplace', changes)
}
