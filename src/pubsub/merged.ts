import type { PubSub } from './pubsub.js';

/**
 * A bus that is also heard on the database's notifications: what SQL tells (a start from psql, a run
 * driven by hand) reaches watchers whatever bus the processes use among themselves.
 */
export function mergePubSub(bus: PubSub, notifications: PubSub): PubSub {
  return {
    payload: bus.payload,
    publish: (topic, message) => bus.publish(topic, message),
    async subscribe(topic, fn) {
      const stops = await Promise.all([bus.subscribe(topic, fn), notifications.subscribe(topic, fn)]);
      return () => {
        for (const stop of stops) stop();
      };
    },
    onConnection: (fn) => bus.onConnection?.(fn) ?? (() => {}),
    async close() {
      await Promise.all([bus.close(), notifications.close()]);
    },
  };
}
