import { PgFlowError } from '../errors.js';
import type { Change } from '../run/change.js';
import { encodeChange, encodeHint } from '../run/codec.js';
import type { PubSub, Topics } from './pubsub.js';

/** Sends a change to the run's watchers in other processes: whole if the bus carries that much, else as a hint. */
export async function publishChange(pubsub: PubSub, topics: Topics, change: Change): Promise<void> {
  const topic = topics.run(change.runId);
  if (pubsub.payload !== 'hint') {
    try {
      return await pubsub.publish(topic, encodeChange(change));
    } catch (error) {
      if (!(error instanceof PgFlowError && error.code === 'LIMIT_EXCEEDED')) throw error;
    }
  }
  return pubsub.publish(topic, encodeHint(change.runId, change.seq));
}
