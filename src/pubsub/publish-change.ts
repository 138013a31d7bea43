import type { Change } from '../run/change.js';
import { encodeChange, encodeHint } from '../run/codec.js';
import type { PubSub, Topics } from './pubsub.js';

/** Sends a change to the run's watchers in other processes: whole if the bus carries that much, else as a hint. */
export async function publishChange(pubsub: PubSub, topics: Topics, change: Change): Promise<void> {
  const topic = topics.run(change.runId);
  const most = pubsub.maxBytes ?? Number.POSITIVE_INFINITY;
  if (most > 0) {
    const message = encodeChange(change);
    if (most === Number.POSITIVE_INFINITY || Buffer.byteLength(JSON.stringify(message)) <= most) {
      return pubsub.publish(topic, message);
    }
  }
  return pubsub.publish(topic, encodeHint(change.runId, change.seq));
}
