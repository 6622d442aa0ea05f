import type { ReactNode } from 'react';

export type Fact = readonly [label: string, value: ReactNode] | null;

/** Names and values; what has no value is not shown. */
export function Facts({ facts }: { facts: readonly Fact[] }): ReactNode {
  return (
    <dl className="grid grid-cols-[minmax(6rem,auto)_1fr] items-baseline gap-x-4 gap-y-1">
      {facts.map((fact) => {
        if (!fact || fact[1] === null || fact[1] === undefined || fact[1] === '') return null;
        const [label, value] = fact;
        return (
          <div key={label} className="contents">
            <dt className="text-subtle">{label}</dt>
            <dd className="min-w-0 break-words">{value}</dd>
          </div>
        );
      })}
    </dl>
  );
}
