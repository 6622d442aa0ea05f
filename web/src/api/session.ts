import { createStore } from 'zustand/vanilla';

/** Whether the session ended while the page was open: a dialog then signs in again over it. */
export const sessionEnd = createStore<{ ended: boolean }>()(() => ({ ended: false }));
