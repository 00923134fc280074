from .plots import plot as plot
from .prediction import Prediction as Prediction, predict as predict
from .published_data import (
    FreiHand as FreiHand,
    Ho3d as Ho3d,
    PublishedData as PublishedData,
)
from .published_files import (
    OPENGL as OPENGL,
    camera_of as camera_of,
    read_image as read_image,
    read_lines as read_lines,
    read_list as read_list,
    read_meta as read_meta,
)
from .published_report import score_page as score_page, score_tables as score_tables
from .published_scores import (
    read_submission as read_submission,
    read_truth as read_truth,
    score_submission as score_submission,
)
from .report import (
    Page as Page,
    Plot as Plot,
    Table as Table,
    Tile as Tile,
    Tiles as Tiles,
    print_table as print_table,
    write_page as write_page,
)
from .results import (
    origin as origin,
    read_numbers as read_numbers,
    results_folder as results_folder,
    write_results as write_results,
)
from .scenes import Scene as Scene, held_out_scenes as held_out_scenes, views_in as views_in
from .scores import Tree as Tree, score as score
from .stereo import GATE as GATE, measure_stereo as measure_stereo, read_rig as read_rig, stereo_table as stereo_table
from .synthetic import Measured as Measured, measure_synthetic as measure_synthetic
from .synthetic_report import (
    comparison as comparison,
    comparison_page as comparison_page,
    page_of as page_of,
    tables_of as tables_of,
)
from .video import measure_video as measure_video, read_clip_truth as read_clip_truth, video_table as video_table
