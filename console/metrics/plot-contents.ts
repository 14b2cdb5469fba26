import type { HistoryAnswer } from '../../src/console/feed-messages.js';
import { byteText, timeText } from '../parts/words.js';
import type { PlotContent, PlotSeries } from './plot-content.js';
import { hitShares, layerLine, perMinute, type SeriesValues, stacked } from './series.js';

/** The plots of the last hour: their titles, lines and units. Pure. */

/** All plots, from the most important on. */
export function plotsOf({ series }: HistoryAnswer): PlotContent[] {
  return [...requestPlots(series), ...memoryPlots(series)];
}

function requestPlots(series: HistoryAnswer['series']): PlotContent[] {
  const [computed, remote, local] = stacked([series.computed, series.remote, series.local]);
  return [
    {
      title: 'Prompt tokens by source',
      help: 'Tokens a second, one on top of the other: the less is computed, the better.',
      format: (value) => `${compact(value)}/s`,
      series: [
        line('own memory', '--local', local!, series.local),
        line('another worker', '--remote', remote!, series.remote),
        line('computed', '--computed', computed!, series.computed),
      ],
    },
    {
      title: 'Hit rate',
      unit: 'whole',
      help: 'Share of prompt tokens that were not computed.',
      format: (value) => `${Math.round(value)} %`,
      series: [line('hits', '--local', hitShares(series))],
    },
    {
      title: 'Time to first token',
      help: 'Of the requests that got their first token in the two seconds before.',
      format: timeText,
      series: [
        line('median', '--ink', series.ttft_p50),
        line('95 %', '--bad', series.ttft_p95),
        line('queued, median', '--remote', series.queue_p50),
      ],
    },
    {
      title: 'Time between tokens',
      help: 'From one token of an answer to the next.',
      format: timeText,
      series: [line('median', '--ink', series.itl_p50), line('95 %', '--bad', series.itl_p95)],
    },
    {
      title: 'Requests',
      help: 'Answered per second, and running or waiting on the workers.',
      format: compact,
      series: [
        line('answered/s', '--ink', series.requests),
        line('failed/s', '--bad', series.failed),
        line('running', '--local', series.running),
        line('waiting', '--remote', series.waiting),
      ],
    },
  ];
}

function memoryPlots(series: HistoryAnswer['series']): PlotContent[] {
  return [
    {
      title: 'Generated tokens',
      help: 'Tokens a second, of all answers.',
      format: (value) => `${compact(value)}/s`,
      series: [line('generated', '--ink', series.generated)],
    },
    {
      title: 'Blocks',
      unit: 'whole',
      help: 'Distinct blocks in the fleet, and blocks that lack a copy.',
      format: compact,
      series: [line('blocks', '--ink', series.blocks), line('lack a copy', '--bad', series.below)],
    },
    {
      title: 'Bytes moved',
      unit: 'bytes',
      help: 'K/V from worker to worker: fetched for requests, and copied to homes.',
      format: (value) => `${byteText(value)}/s`,
      series: [line('fetched', '--remote', series.fetched_bytes), line('copied', '--copy', series.copied_bytes)],
    },
    {
      title: 'Evictions',
      help: 'Blocks a minute that left a worker for lack of room. Another worker may still have them.',
      format: compact,
      series: [line('evicted/min', '--ink', perMinute(series.evicted))],
    },
    {
      title: 'Audits',
      help: 'Prefixes a minute that a worker computed again and compared, and blocks refused for wrong bytes.',
      format: compact,
      series: [
        line('right/min', '--local', perMinute(series.audits_right)),
        line('wrong/min', '--bad', perMinute(series.audits_wrong)),
        line('refused/min', '--remote', perMinute(series.damaged)),
      ],
    },
    {
      title: 'Memory for blocks',
      unit: 'bytes',
      help: 'In use, on all workers.',
      format: byteText,
      series: [line('bytes', '--ink', series.bytes)],
    },
    {
      title: 'Workers',
      unit: 'whole',
      help: 'Workers that serve.',
      format: compact,
      series: [line('serving', '--local', series.serving)],
    },
  ];
}

/** @param own of a series on top of others: its own values, without theirs */
function line(label: string, colour: string, values: SeriesValues, own: SeriesValues | null = null): PlotSeries {
  return { label, colour, values: own === null ? values : layerLine(values, own), own };
}

function compact(value: number): string {
  return value >= 1_000
    ? Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
    : String(Math.round(value * 10) / 10);
}
