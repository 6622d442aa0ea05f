import { createStore } from 'zustand/vanilla';

export type ToastKind = 'ok' | 'error' | 'info';
export type Toast = {
  id: number;
  kind: ToastKind;
  text: string;
  detail?: string | undefined;
  action?: { label: string; run: () => void } | undefined;
};

const MAXIMUM = 4;
const LIFETIME_MS = 6000;

let last = 0;
export const toasts = createStore<{ list: readonly Toast[] }>()(() => ({ list: [] }));

export function dismissToast(id: number): void {
  toasts.setState(({ list }) => ({ list: list.filter((one) => one.id !== id) }));
}

/** Shows a message. Errors stay until dismissed, so that their text can be read and copied. */
export function toast(kind: ToastKind, text: string, more: Pick<Toast, 'detail' | 'action'> = {}): number {
  last += 1;
  const id = last;
  toasts.setState(({ list }) => ({ list: [...list.slice(-(MAXIMUM - 1)), { id, kind, text, ...more }] }));
  if (kind !== 'error') setTimeout(() => dismissToast(id), LIFETIME_MS);
  return id;
}
