import { createContext, type RefObject, useContext, useSyncExternalStore } from 'react';

/** The page's one scroll container, which virtual lists measure against. */
export const ScrollHost = createContext<RefObject<HTMLElement | null>>({ current: null });

export function useScrollHost(): RefObject<HTMLElement | null> {
  return useContext(ScrollHost);
}

/** Whether a media query matches, kept current. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (listener) => {
      const list = matchMedia(query);
      list.addEventListener('change', listener);
      return () => list.removeEventListener('change', listener);
    },
    () => matchMedia(query).matches,
  );
}

export const PHONE = '(max-width: 639px)';
