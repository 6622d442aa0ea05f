import { clsx } from 'clsx';
import { createContext, type ReactNode, useContext } from 'react';

import type { Evidence } from '@/api/schema.gen.ts';

export type Chosen = { id: string; title: string; evidence: Evidence };

/** What is chosen in the picture, and how to choose. */
export const Choice = createContext<{ chosen: string | null; choose: (chosen: Chosen) => void }>({
  chosen: null,
  choose: () => undefined,
});

type FactProps = { id: string; title: string; evidence: Evidence; className?: string; children: ReactNode };

/** Anything of the picture that can be asked about. */
export function Fact({ id, title, evidence, className, children }: FactProps): ReactNode {
  const { chosen, choose } = useContext(Choice);
  return (
    <button
      type="button"
      aria-pressed={chosen === id}
      onClick={() => choose({ id, title, evidence })}
      className={clsx(
        'min-h-6 min-w-0 rounded-control text-left hover:bg-raised',
        chosen === id && 'bg-accent/12 outline-1 outline-accent',
        className,
      )}
    >
      {children}
    </button>
  );
}
