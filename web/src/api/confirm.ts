import { createStore } from 'zustand/vanilla';

import type { Preview } from './schema.gen.ts';

export type LossOption = { id: string; label: string; on: boolean };

/** An act that loses data: the server says what, the person confirms exactly that. */
export type LossRequest = {
  kind: 'loss';
  title: string;
  verb: string;
  options?: readonly LossOption[];
  load: (options: ReadonlySet<string>) => Promise<Preview>;
  perform: (preview: Preview) => Promise<void>;
};

/** An act that interrupts something but loses no data. */
export type ActRequest = {
  kind: 'act';
  title: string;
  body: string;
  verb: string;
  perform: () => Promise<void>;
};

export type ConfirmRequest = LossRequest | ActRequest;

export const confirmation = createStore<{ request: ConfirmRequest | null }>()(() => ({ request: null }));

export function confirmLoss(request: Omit<LossRequest, 'kind'>): void {
  confirmation.setState({ request: { kind: 'loss', ...request } });
}

export function confirmAct(request: Omit<ActRequest, 'kind'>): void {
  confirmation.setState({ request: { kind: 'act', ...request } });
}

export function closeConfirmation(): void {
  confirmation.setState({ request: null });
}
