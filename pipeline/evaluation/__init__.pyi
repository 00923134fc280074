from .report import Page as Page, Table as Table, print_table as print_table, write_page as write_page
from .results import (
    origin as origin,
    read_numbers as read_numbers,
    results_folder as results_folder,
    write_results as write_results,
)
from .scenes import Scene as Scene, held_out_scenes as held_out_scenes, views_in as views_in
from .scores import Tree as Tree, score as score
from .synthetic import Measured as Measured, measure_synthetic as measure_synthetic
from .synthetic_report import (
    comparison as comparison,
    comparison_page as comparison_page,
    page_of as page_of,
    tables_of as tables_of,
)
