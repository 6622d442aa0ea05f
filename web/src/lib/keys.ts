import { useEffect, useRef } from 'react';

/** A key or a sequence of two ("g c"), as shown to people. */
export type Shortcuts = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const SEQUENCE_MS = 1200;
const STORAGE_KEY = 'containeros.shortcuts';

/** Whether single-letter shortcuts are on (WCAG 2.1.4 asks for a way to switch them off). */
export function shortcutsEnabled(): boolean {
  return localStorage.getItem(STORAGE_KEY) !== 'off';
}

export function setShortcutsEnabled(on: boolean): void {
  localStorage.setItem(STORAGE_KEY, on ? 'on' : 'off');
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest('input:not([type=checkbox],[type=radio]),textarea,select') !== null;
}

/** Listens for shortcuts while the component is mounted. Off in text fields and while a dialog is open. */
export function useShortcuts(shortcuts: Shortcuts): void {
  const current = useRef(shortcuts);
  useEffect(() => {
    current.current = shortcuts;
  });
  useEffect(() => {
    let first = '';
    let firstAt = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target) || !shortcutsEnabled() || document.querySelector('dialog[open]')) return;
      const sequence = `${first} ${event.key}`;
      const handler =
        (performance.now() - firstAt < SEQUENCE_MS ? current.current[sequence] : undefined) ??
        current.current[event.key];
      first = event.key;
      firstAt = performance.now();
      if (handler) {
        first = '';
        event.preventDefault();
        handler(event);
      }
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}
