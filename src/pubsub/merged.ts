import type { PubSub } from './pubsub.js';

/**
 * A bus that is also heard on the database's notifications: what SQL tells (a start from psql, a run
 * driven by hand) reaches watchers whatever bus the processes use among themselves.
 *
 * Its connection is the bus's, which carries what workers tell. Notifications that are lost, or never come because of a
 * transaction pooler, do not make it one that is lost. When they come back, watchers hear of a loss and its
 * end, so that they read again what SQL has told meanwhile.
 */
export function mergePubSub(bus: PubSub, notifications: PubSub): PubSub {
  return {
    payload: bus.payload,
    publish: (topic, message) => bus.publish(topic, message),
    async subscribe(topic, fn) {
      const asked = await Promise.allSettled([bus.subscribe(topic, fn), notifications.subscribe(topic, fn)]);
      const stops = asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const stop = () => {
        for (const stopOne of stops) stopOne();
      };
      const refused = asked.find((answer) => answer.status === 'rejected');
      if (!refused) return stop;
      stop();
      throw refused.reason;
    },
    onConnection(fn) {
      let isConnected = true;
      const stops = [
        bus.onConnection?.((connected) => {
          isConnected = connected;
          fn(connected);
        }),
        notifications.onConnection?.((connected) => {
          if (!connected || !isConnected) return;
          fn(false);
          fn(true);
        }),
      ];
      return () => {
        for (const stop of stops) stop?.();
      };
    },
    async close() {
      await Promise.all([bus.close(), notifications.close()]);
    },
  };
}
