import { setTimeout } from 'node:timers/promises';
import type { Order, OrderLine } from './orders.js';

/**
 * What a shop calls while it processes an order: a bank, a warehouse, the post. Here each only takes its
 * time, so that one can watch. `signal` ends the wait when the attempt no longer counts.
 */

/** Takes the money. The idempotency key is what lets a real bank see that a second call is the same payment. */
export async function chargeCard(
  { payment }: Order,
  amount: number,
  { attempt, idempotencyKey, signal }: { attempt: number; idempotencyKey: string; signal: AbortSignal },
) {
  await takeTime(signal);
  if (attempt <= payment.unanswered) {
    throw new Error(`${payment.bank} did not answer (attempt ${attempt})`);
  }
  return { receipt: idempotencyKey, bank: payment.bank, amount };
}

export async function reserveStock(lines: readonly OrderLine[], signal: AbortSignal) {
  await takeTime(signal);
  return { reserved: lines.reduce((sum, line) => sum + line.quantity, 0), until: hoursFromNow(24) };
}

export async function packLine(line: OrderLine, index: number, signal: AbortSignal) {
  await takeTime(signal);
  return { parcel: index + 1, sku: line.sku, quantity: line.quantity };
}

export async function writeToCustomer({ customer }: Order, text: string, signal: AbortSignal) {
  await takeTime(signal);
  return { to: customer, text };
}

/** 300 to 900 ms. */
export function takeTime(signal: AbortSignal): Promise<void> {
  return setTimeout(300 + Math.random() * 600, undefined, { signal });
}

function hoursFromNow(hours: number): Date {
  return new Date(Date.now() + hours * 3_600_000);
}
