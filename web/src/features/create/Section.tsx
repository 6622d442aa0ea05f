import { ChevronRight } from 'lucide-react';
import { type ReactNode, useEffect, useState } from 'react';

import { Tag } from '@/ui/Chip.tsx';

type SectionProps = {
  title: string;
  summary?: string | undefined;
  errors: number;
  open?: boolean;
  hint?: string;
  children: ReactNode;
};

/** A folding part of the form; its head says what is in it, and it opens when a field in it needs attention. */
export function Section({ title, summary, errors, open: first = true, hint, children }: SectionProps): ReactNode {
  const [open, setOpen] = useState(first);
  useEffect(() => {
    if (errors > 0) setOpen(true);
  }, [errors]);
  return (
    <details
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
      className="group rounded-card border border-line bg-surface open:pb-4"
    >
      <summary className="flex min-h-11 list-none items-center gap-2 px-4 -outline-offset-2">
        <ChevronRight size={14} aria-hidden className="text-subtle group-open:rotate-90" />
        <h2 className="text-sm font-semibold">{title}</h2>
        {summary && <span className="text-xs text-subtle">{summary}</span>}
        {errors > 0 && (
          <Tag tone="danger" className="ml-auto">
            {errors}
          </Tag>
        )}
      </summary>
      <div className="flex flex-col gap-3 px-4">
        {hint && <p className="text-xs text-subtle">{hint}</p>}
        {children}
      </div>
    </details>
  );
}
