import { encodeHint, GONE } from '../run/codec.js';
import { attachTelemetry } from '../telemetry/attach-telemetry.js';
import type { RunMoved } from '../telemetry/events.js';
import { publishChange } from './publish-change.js';
import { type PubSub, type Topics, topicsOf } from './pubsub.js';

/**
 * Publishes on a bus what a pgflow tells of its runs (the event `pgflow:change`), until `detach` is called. So its
 * own bus is attached, and so may others be: for watchers beyond its reach, who give that bus to their `createPgFlow`.
 * The bus stays open when it is detached.
 *
 * The topic of a run is `<schema>:run:<runId>`. What the bus refuses is lost, as anything on a bus may be.
 *
 * @example
 * const detach = attachPubSub(pgflow, redisPubSub(process.env.OTHER_REDIS_URL));
 */
export function attachPubSub(pgflow: object, pubsub: PubSub): () => void {
  return attachBus(pgflow, pubsub, () => true);
}

/** The same, of the events that `isWanted` takes. */
export function attachBus(
  pgflow: object,
  pubsub: PubSub,
  isWanted: (moved: RunMoved) => boolean,
): () => void {
  let topics: Topics | undefined;
  return attachTelemetry({
    'pgflow:change': (moved) => {
      if (moved.pgflow !== pgflow || !isWanted(moved)) return;
      topics ??= topicsOf(moved.schema);
      publish(pubsub, topics, moved).catch(() => {});
    },
  });
}

async function publish(pubsub: PubSub, topics: Topics, { runId, seq, change }: RunMoved): Promise<void> {
  if (change !== null) return publishChange(pubsub, topics, change);
  return pubsub.publish(topics.run(runId), encodeHint(runId, seq === 'gone' ? GONE : seq));
}
