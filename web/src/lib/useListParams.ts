import { useCallback, useMemo } from 'react';
import { useSearchParams } from 'react-router';

type Sort = { column: string; descending: boolean };

/** A list's filter, sort and grouping, kept in the address: `?q=web&sort=-cpu&state=running`. */
export function useListParams(defaultSort: Sort): {
  get: (key: string) => string;
  set: (key: string, value: string | null) => void;
  sort: Sort;
  setSort: (sort: Sort) => void;
} {
  const [search, setSearch] = useSearchParams();
  const set = useCallback(
    (key: string, value: string | null) => {
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          if (value) after.set(key, value);
          else after.delete(key);
          return after;
        },
        { replace: true },
      );
    },
    [setSearch],
  );
  const text = search.get('sort');
  const sort = useMemo(
    () => (text ? { column: text.replace(/^-/, ''), descending: text.startsWith('-') } : defaultSort),
    [text, defaultSort],
  );
  const setSort = useCallback((next: Sort) => set('sort', `${next.descending ? '-' : ''}${next.column}`), [set]);
  return { get: (key) => search.get(key) ?? '', set, sort, setSort };
}
