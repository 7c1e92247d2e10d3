/** What a name server answers, by request code (protocol §6). */
import type { Processor } from '../remoting/connection.ts'
import { brokerHandlers } from './broker-processors.ts'
import { configHandlers } from './config-processors.ts'
import type { Handler, HandlerDependencies } from './handler.ts'
import { routeHandlers } from './route-processors.ts'

export function createProcessors(
  dependencies: HandlerDependencies,
): ReadonlyMap<number, Processor> {
  const handlers: readonly (readonly [number, Handler])[] = [
    ...brokerHandlers(dependencies),
    ...routeHandlers(dependencies),
    ...configHandlers(dependencies),
  ]
  return new Map(handlers.map(([code, handler]) => [code, processorOf(handler)]))
}

function processorOf(handler: Handler): Processor {
  return (request) => request.respond(handler(request.command, request.connection))
}
