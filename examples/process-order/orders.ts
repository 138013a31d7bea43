import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const orderFile = z.object({
  title: z.string(),
  about: z.string(),
  customer: z.string(),
  /** `unanswered`: how many calls the bank leaves without an answer before it takes the money. */
  payment: z.object({ bank: z.string(), unanswered: z.number().int().min(0) }),
  lines: z.array(
    z.object({
      sku: z.string(),
      name: z.string(),
      quantity: z.number().int(),
      /** In cents. */
      unitPrice: z.number().int().min(0),
    }),
  ),
});

export type Order = z.infer<typeof orderFile> & { id: string };
export type OrderLine = Order['lines'][number];

/** An order as the page lists it. */
export interface OrderSummary extends Pick<Order, 'id' | 'title' | 'about' | 'customer'> {
  lines: number;
  /** In cents. */
  total: number;
}

const FOLDER = join(import.meta.dirname, '../orders');

/** All orders, by id. The folder is listed once, so an id from outside never becomes a path. */
export const orders: ReadonlyMap<string, Order> = new Map(
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => [file.slice(0, -'.json'.length), readOrder(file)]),
);

function readOrder(file: string): Order {
  const parsed = orderFile.safeParse(JSON.parse(readFileSync(join(FOLDER, file), 'utf8')));
  if (!parsed.success) throw new Error(`${file} is no order:\n${z.prettifyError(parsed.error)}`);
  return { ...parsed.data, id: file.slice(0, -'.json'.length) };
}

export function totalOf(lines: readonly OrderLine[]): number {
  return lines.reduce((total, line) => total + line.quantity * line.unitPrice, 0);
}

export function summaryOf({ id, title, about, customer, lines }: Order): OrderSummary {
  return { id, title, about, customer, lines: lines.length, total: totalOf(lines) };
}
